//! Everything between a datagram and RTP or RTCP: paths, ICE, DTLS, SRTP, framing on TCP, and batches to send.

pub(crate) mod batch;
pub(crate) mod dtls;
pub(crate) mod framing;
pub(crate) mod ice;
pub(crate) mod path;
pub(crate) mod srtp;
