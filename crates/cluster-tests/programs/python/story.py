"""A story told with the Python client etcd3: put, get, watch, transaction, lock, lease.

Exits with status 1 and a traceback where something is not as promised.
"""

import os
import threading
import time

# The client's generated messages are older than today's protobuf runtime.
os.environ.setdefault("PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION", "python")

import etcd3  # noqa: E402


def connect():
    return etcd3.client(host="127.0.0.1", port=int(os.environ["PORT"]))


def keys(client):
    client.put("py/a", "1")
    client.put("py/b", "2")
    value, meta = client.get("py/a")
    assert value == b"1" and meta.version == 1
    assert [value for value, _ in client.get_prefix("py/")] == [b"1", b"2"]
    assert client.delete("py/b")
    swapped, _ = client.transaction(
        compare=[client.transactions.value("py/a") == "1"],
        success=[client.transactions.put("py/a", "3")],
        failure=[],
    )
    assert swapped and client.get("py/a")[0] == b"3"


def watches(client):
    events, cancel = client.watch_prefix("pyw/")
    for n in range(20):
        client.put("pyw/key", str(n))
    seen = [next(events).value for _ in range(20)]
    cancel()
    assert seen == [str(n).encode() for n in range(20)], seen


def locks():
    holders = []
    order = []

    def work(worker):
        client = connect()
        for _ in range(3):
            with client.lock("pylock", ttl=20):
                holders.append(worker)
                assert len(holders) == 1, "two hold the lock"
                order.append(holders.pop())

    workers = [threading.Thread(target=work, args=(n,)) for n in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert len(order) == 9, order


def service(client):
    lease = client.lease(2)
    client.put("pys/1", "here", lease=lease)
    for _ in range(8):
        time.sleep(0.5)
        lease.refresh()
        assert client.get("pys/1")[0] == b"here"
    deadline = time.monotonic() + 10
    while client.get("pys/1")[0] is not None:
        assert time.monotonic() < deadline, "the service outlives its lease"
        time.sleep(0.1)


if __name__ == "__main__":
    client = connect()
    keys(client)
    watches(client)
    locks()
    service(client)
