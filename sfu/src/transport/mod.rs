//! The layers between datagrams and RTP or RTCP: paths and demultiplexing, ICE, DTLS, SRTP, framing for TCP, and the
//! send batch.

pub(crate) mod batch;
pub(crate) mod dtls;
pub(crate) mod framing;
pub(crate) mod ice;
pub(crate) mod path;
pub(crate) mod srtp;
