#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A node that is none: speaks the distribution protocol (version 6), and lies as it is told.

  fake_node.py honest|mutate PORT NAME COOKIE_FILE [SEED]
      shakes hands and answers the calls that relsup and relctl make; mutate: breaks most
      packets somewhere, of the handshake one of ten. PORT 0: a free one.
  fake_node.py relay PORT TO
      passes everything on to port TO, both ways

It prints "port N" when it listens, and for each connection "bytes N" (read from it) when it ends."""
import hashlib
import os
import random
import socket
import struct
import sys
import threading


def atom(s):
    return bytes([119, len(s)]) + s.encode()


def integer(n):
    return bytes([97, n]) if 0 <= n < 256 else b"b" + struct.pack(">i", n)


def tup(*x):
    return bytes([104, len(x)]) + b"".join(x)


def lst(*x):
    return b"l" + struct.pack(">I", len(x)) + b"".join(x) + b"j" if x else b"j"


def binary(s):
    return b"m" + struct.pack(">I", len(s)) + s.encode()


def string(s):
    return b"k" + struct.pack(">H", len(s)) + s.encode()


def pid(name):
    return b"X" + atom(name) + struct.pack(">III", 1, 0, 1)


def frame(message):
    body = b"\x70\x83" + tup(integer(2), atom(""), pid("1@localhost")) + b"\x83" + message
    return struct.pack(">I", len(body)) + body


def read(c, n):
    data = b""
    while len(data) < n:
        got = c.recv(n - len(data))
        if not got:
            raise EOFError
        data += got
    return data


def packet(c, size):
    return read(c, int.from_bytes(read(c, size), "big"))


HUGE = [b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\x80\0\0\0", b"\0\0\0\0", b"\xff\xff", b"\xff", b"\0"]


class Liar:
    def __init__(self, seed):
        self.r = random.Random(seed)

    def lie(self, data, share):
        if self.r.random() > share:
            return data
        data = bytearray(data)
        for _ in range(self.r.randint(1, 4)):
            at = self.r.randrange(len(data)) if data else 0
            kind = self.r.randrange(5)
            if kind == 0 and data:
                data[at] = self.r.randrange(256)
            elif kind == 1 and data:
                data[at] ^= 1 << self.r.randrange(8)
            elif kind == 2:
                new = self.r.choice(HUGE)
                data[at : at + len(new)] = new
            elif kind == 3:
                del data[at:]
            else:
                data[at:at] = self.r.randbytes(self.r.randint(1, 9))
        # Most of them keep the length true, so that what is inside is looked at.
        if len(data) > 4 and self.r.random() < 0.8:
            data[:4] = struct.pack(">I", len(data) - 4)
        return bytes(data)


class Truth:
    def lie(self, data, share):
        return data


def undef():
    return tup(atom("badrpc"), tup(atom("EXIT"), tup(atom("undef"), lst())))


def answers(call, liar):
    """The messages that answer {Pid, {call, M, F, Args, user}}, found by the names in it."""
    rex = lambda x: tup(atom("rex"), x)
    if b"get_status" in call:
        return [rex(tup(atom("started"), atom("started")))]
    if b"getpid" in call:
        return [rex(string(str(os.getpid())))]
    if b"which_applications" in call:
        return [rex(lst(tup(atom("kernel"), string("k"), string("8.5")), tup(atom("shop"), string("s"), string("1"))))]
    if b"relsup_agent" in call and b"\x77\x04eval" in call:
        n = call[call.index(b"\x77\x01n") + 4]
        say = lambda what, x, text: tup(atom("relsup"), integer(n), atom(what), x, binary(text))
        return [
            rex(pid("shop@localhost")),
            say("out", integer(1), "hello\n"),
            say("out", integer(2), "oh\n"),
            say("done", atom("ok"), "true"),
        ]
    if b"relsup_agent" in call and b"\x77\x05ready" in call:
        return [rex(tup(atom("yes"), integer(42)))]
    if b"module_info" in call:
        return [rex(undef())]
    if b"soft_purge" in call or b"module_loaded" in call:
        return [rex(atom("true"))]
    if b"atomic_load" in call:
        return [rex(atom("ok"))]
    if b"relsup_hot" in call:
        report = tup(atom("modules"), lst(binary("changed m")))
        return [rex(tup(atom("ok"), integer(1), integer(1), integer(1), binary(""), lst(report)))]
    return [rex(atom("ok"))]


def shake(c, name, cookie, liar):
    digest = lambda n: hashlib.md5(cookie + str(n).encode()).digest()
    send = lambda data: c.sendall(liar.lie(struct.pack(">H", len(data)) + data, 0.1))
    if packet(c, 2)[:1] != b"N":
        raise EOFError
    mine = b"1@localhost"
    send(b"snamed:" + struct.pack(">H", len(mine)) + mine + struct.pack(">I", 1))
    send(b"N" + struct.pack(">QIIH", 0x7DFFFFBD, 4711, 1, len(name)) + name.encode())
    reply = packet(c, 2)
    if reply[5:21] != digest(4711):
        raise EOFError
    send(b"a" + digest(struct.unpack(">I", reply[1:5])[0]))


def node(c, name, cookie, liar):
    shake(c, name, cookie, liar)
    while True:
        call = packet(c, 4)
        if not call:
            c.sendall(b"\0\0\0\0")
            continue
        for message in answers(call, liar):
            c.sendall(liar.lie(frame(message), 0.6))


def counted(c, serve):
    read_n = [0]

    class Counted:
        def recv(self, n):
            data = c.recv(n)
            read_n[0] += len(data)
            return data

        def sendall(self, data):
            c.sendall(data)

    try:
        serve(Counted())
    except (EOFError, OSError, ValueError, IndexError, struct.error):
        pass
    c.close()
    print("bytes", read_n[0], flush=True)


def pump(a, b):
    try:
        while data := a.recv(65536):
            b.sendall(data)
    except OSError:
        pass


def relay(c, to):
    real = socket.create_connection(("127.0.0.1", to))
    threading.Thread(target=pump, args=(real, c), daemon=True).start()
    while data := c.recv(65536):
        real.sendall(data)
    real.close()


def main():
    kind, port, rest = sys.argv[1], int(sys.argv[2]), sys.argv[3:]
    seed = int(rest[2]) if len(rest) > 2 else 1
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    listener.bind(("127.0.0.1", port))
    listener.listen(64)
    print("port", listener.getsockname()[1], flush=True)
    while True:
        c, _ = listener.accept()
        c.settimeout(20)
        seed += 1
        if kind == "relay":
            serve = lambda s: relay(s, int(rest[0]))
        else:
            with open(rest[1], "rb") as f:
                cookie = f.read().strip()
            liar = Liar(seed) if kind == "mutate" else Truth()
            serve = lambda s, l=liar: node(s, rest[0], cookie, l)
        threading.Thread(target=counted, args=(c, serve), daemon=True).start()


main()
