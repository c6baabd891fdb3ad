"""`stomp.py` against a running server: `python stomp_py.py ws://127.0.0.1:8080/ws`."""

import queue
import sys
import unittest
import urllib.parse

import stomp

PATIENCE = 20
url = urllib.parse.urlsplit(sys.argv.pop() if len(sys.argv) > 1 else "ws://127.0.0.1:8080/ws")


class Inbox(stomp.ConnectionListener):
    """Keeps what comes."""

    def __init__(self):
        self.messages = queue.Queue()
        self.receipts = queue.Queue()

    def on_message(self, frame):
        self.messages.put(frame)

    def on_receipt(self, frame):
        self.receipts.put(frame.headers["receipt-id"])


class StompPy(unittest.TestCase):
    def connect(self):
        connection = stomp.WSStompConnection(
            [(url.hostname, url.port)], ws_path=url.path, heartbeats=(10000, 10000)
        )
        inbox = Inbox()
        connection.set_listener("inbox", inbox)
        connection.connect("guest", "guest", wait=True)
        self.addCleanup(lambda: connection.is_connected() and connection.disconnect())
        return connection, inbox

    def subscribe(self, connection, inbox, destination, ack="auto"):
        connection.subscribe(destination, id="s", ack=ack, headers={"receipt": "subscribed"})
        self.assertEqual(inbox.receipts.get(timeout=PATIENCE), "subscribed")

    def test_what_is_sent_comes_back(self):
        connection, inbox = self.connect()
        self.subscribe(connection, inbox, "/topic/python")

        connection.send("/topic/python", "안녕", headers={"x-note": "a:b\\c"})

        message = inbox.messages.get(timeout=PATIENCE)
        self.assertEqual(message.body, "안녕")
        self.assertEqual(message.headers["x-note"], "a:b\\c")

    def test_a_refused_message_goes_to_another(self):
        first, first_inbox = self.connect()
        second, second_inbox = self.connect()
        self.subscribe(first, first_inbox, "/queue/python", ack="client-individual")
        first.send("/queue/python", "one")
        message = first_inbox.messages.get(timeout=PATIENCE)
        self.subscribe(second, second_inbox, "/queue/python")

        first.nack(message.headers["ack"])

        self.assertEqual(second_inbox.messages.get(timeout=PATIENCE).body, "one")

    def test_an_aborted_transaction_sends_nothing(self):
        connection, inbox = self.connect()
        self.subscribe(connection, inbox, "/topic/python-tx")
        for body, end in [("dropped", connection.abort), ("kept", connection.commit)]:
            transaction = connection.begin()
            connection.send("/topic/python-tx", body, headers={"transaction": transaction})
            end(transaction)

        self.assertEqual(inbox.messages.get(timeout=PATIENCE).body, "kept")


if __name__ == "__main__":
    unittest.main()
