"""`stomp.py` against a running server: `python stomp_py.py ws://127.0.0.1:8080/ws`."""

import queue
import sys
import unittest
import urllib.parse

import stomp

PATIENCE = 20
url = urllib.parse.urlsplit(sys.argv.pop() if len(sys.argv) > 1 else "ws://127.0.0.1:8080/ws")


class Inbox(stomp.ConnectionListener):
    """Queues everything that arrives."""

    def __init__(self):
        self.messages = queue.Queue()
        self.receipts = queue.Queue()
        self.errors = queue.Queue()
        self.ends = queue.Queue()

    def on_message(self, frame):
        self.messages.put(frame)

    def on_receipt(self, frame):
        self.receipts.put(frame.headers["receipt-id"])

    def on_error(self, frame):
        self.errors.put(frame)

    def on_heartbeat_timeout(self):
        self.ends.put("no heart-beats")

    def on_disconnected(self):
        self.ends.put("disconnected")


class StompPy(unittest.TestCase):
    def connect(self, heartbeats=(10000, 10000), **settings):
        connection = stomp.WSStompConnection(
            [(url.hostname, url.port)], ws_path=url.path, heartbeats=heartbeats, **settings
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

    def test_a_megabyte_in_hangul_to_a_destination_in_hangul(self):
        connection, inbox = self.connect()
        self.subscribe(connection, inbox, "/topic/소식/서울")
        body = "한글" * 170_000

        connection.send("/topic/소식/서울", body)

        message = inbox.messages.get(timeout=PATIENCE)
        self.assertEqual(message.headers["destination"], "/topic/소식/서울")
        self.assertEqual(message.body, body)

    def test_bytes_arrive_as_they_were(self):
        connection, inbox = self.connect(auto_decode=False, binary_mode=True)
        self.subscribe(connection, inbox, "/topic/python-bytes")
        body = bytes(range(256)) * 100

        connection.send("/topic/python-bytes", body, content_type="application/octet-stream")

        self.assertEqual(inbox.messages.get(timeout=PATIENCE).body, body)

    def test_heart_beats_of_a_second_are_held(self):
        connection, inbox = self.connect(heartbeats=(1000, 1000))

        with self.assertRaises(queue.Empty):
            inbox.ends.get(timeout=5)

        self.assertTrue(connection.is_connected())

    def test_receipts_of_what_is_sent_and_of_the_goodbye(self):
        connection, inbox = self.connect()

        connection.send("/topic/python", "x", headers={"receipt": "sent"})
        self.assertEqual(inbox.receipts.get(timeout=PATIENCE), "sent")
        connection.disconnect(receipt="bye")

        self.assertEqual(inbox.receipts.get(timeout=PATIENCE), "bye")
        self.assertEqual(inbox.ends.get(timeout=PATIENCE), "disconnected")

    def test_a_violation_is_told_and_the_client_connects_again(self):
        connection, inbox = self.connect()

        connection.send("/topic/python", "x", headers={"transaction": "never-begun"})

        self.assertIn("never-begun", inbox.errors.get(timeout=PATIENCE).body)
        self.assertEqual(inbox.ends.get(timeout=PATIENCE), "disconnected")
        connection.connect("guest", "guest", wait=True)
        self.subscribe(connection, inbox, "/topic/python-again")
        connection.send("/topic/python-again", "다시")
        self.assertEqual(inbox.messages.get(timeout=PATIENCE).body, "다시")

    def test_a_lost_consumer_leaves_what_it_did_not_acknowledge(self):
        first, first_inbox = self.connect()
        second, second_inbox = self.connect()
        self.subscribe(first, first_inbox, "/queue/python-lost", ack="client-individual")
        for body in ["one", "two", "three"]:
            first.send("/queue/python-lost", body)
        messages = [first_inbox.messages.get(timeout=PATIENCE) for _ in range(3)]
        first.ack(messages[1].headers["ack"], receipt="acknowledged")
        self.assertEqual(first_inbox.receipts.get(timeout=PATIENCE), "acknowledged")

        first.disconnect()
        self.subscribe(second, second_inbox, "/queue/python-lost")

        for body in ["one", "three"]:
            self.assertEqual(second_inbox.messages.get(timeout=PATIENCE).body, body)

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
