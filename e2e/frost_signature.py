"""RFC 9591's signatures of FROST(secp256k1, SHA-256) checked with nothing but integers."""
import hashlib

P = 2**256 - 2**32 - 977
N = 0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141
G = (0x79be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798,
     0x483ada7726a3c4655da4fbfc0e1108a8fd17b448a68554199c47d08ffb10d4b8)
TAG = b"FROST-secp256k1-SHA256-v1chal"


def verify(public_key, message, signature):
    """`signature` has 65 bytes (R compressed, z) or 96 (R.x, R.y, z)."""
    key = decompress(public_key)
    if len(signature) == 96:
        r = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:64], "big")
        assert (r[1] ** 2 - r[0] ** 3 - 7) % P == 0, "R is not on the curve"
    else:
        assert len(signature) == 65, len(signature)
        r = decompress(signature[:33])
    z = int.from_bytes(signature[-32:], "big")
    assert 0 < z < N, "z is out of range"
    challenge = hash_to_scalar(compress(r) + public_key + message)
    return multiply(z, G) == add(r, multiply(challenge, key))


def hash_to_scalar(message):
    """RFC 9380 §5.2 and §5.3.1, for one element of 48 bytes."""
    tag = TAG + bytes([len(TAG)])
    first = hashlib.sha256(bytes(64) + message + (48).to_bytes(2, "big") + b"\0" + tag).digest()
    second = hashlib.sha256(first + b"\1" + tag).digest()
    third = hashlib.sha256(bytes(a ^ b for a, b in zip(first, second)) + b"\2" + tag).digest()
    return int.from_bytes((second + third)[:48], "big") % N


def decompress(point):
    assert len(point) == 33 and point[0] in (2, 3), point
    x = int.from_bytes(point[1:], "big")
    square = (pow(x, 3, P) + 7) % P
    y = pow(square, (P + 1) // 4, P)
    assert x < P and y * y % P == square, "not on the curve"
    return x, y if y & 1 == point[0] & 1 else P - y


def compress(point):
    return bytes([2 + (point[1] & 1)]) + point[0].to_bytes(32, "big")


def add(a, b):
    if a is None or b is None:
        return a or b
    if a[0] == b[0]:
        if (a[1] + b[1]) % P == 0:
            return None
        slope = 3 * a[0] * a[0] * pow(2 * a[1], -1, P)
    else:
        slope = (b[1] - a[1]) * pow(b[0] - a[0], -1, P)
    x = (slope * slope - a[0] - b[0]) % P
    return x, (slope * (a[0] - x) - a[1]) % P


def multiply(scalar, point):
    result = None
    while scalar:
        if scalar & 1:
            result = add(result, point)
        point = add(point, point)
        scalar >>= 1
    return result


# RFC 9591, appendix E.5: a check that can't fail shows nothing, and one that can't pass neither.
KEY = bytes.fromhex("02f37c34b66ced1fb51c34a90bdae006901f10625cc06c4f64663b0eae87d87b4f")
SIGNATURE = bytes.fromhex("024c1ad4e031872661fa6ebd05dfc7fb30db08b38d79f0edbc82051ae931381bc6"
                          "a46881e25c7989d3816eae32074f1ab0d49ee908a59713ed5284c6bade7cfb02")
assert verify(KEY, b"test", SIGNATURE) and not verify(KEY, b"tesT", SIGNATURE)
