"""Compares what jeju-image computes for SEV-SNP and Nitro with other programs' answers for the same bytes.

Usage: peers.py LAUNCH_VALUES, the built example of that name. Peers: virtee/sev-snp-measure for launch digests and ID blocks,
`cryptography` for signatures; Nitro's registers are computed by hashlib from their definition, and are held to AWS's own
tools by image/tests/vectors.
"""
import base64
import hashlib
import json
import pathlib
import subprocess
import sys
import tempfile

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, utils
from sevsnpmeasure import guest, id_block, vcpu_types
from sevsnpmeasure.sev_mode import SevMode

image = pathlib.Path(__file__).parent.parent
cmdline = "console=ttyS0 quiet panic=-1 random.trust_bootloader=off"


def main(launch_values):
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        kernel = image / "kernel/bzImage"
        # Only their bytes matter: an archive that has zeros, and one that compressed data resembles.
        ramdisks = [bytes(512) + b"first", hashlib.shake_256(b"second").digest(70_000)]
        paths = [folder / f"ramdisk{index}" for index in range(len(ramdisks))]
        for path, content in zip(paths, ramdisks):
            path.write_bytes(content)
        (folder / "initrd").write_bytes(b"".join(ramdisks))
        (folder / "cmdline").write_text(cmdline)

        def ours(*arguments):
            return json.loads(subprocess.run([launch_values, *map(str, arguments)], check=True, stdout=subprocess.PIPE).stdout)

        answer = ours(kernel, folder / "cmdline", *paths)
        digests = check_snp(answer["snp"], kernel, folder / "initrd")
        check_nitro(answer["nitro"], kernel.read_bytes(), ramdisks)
        check_id_blocks(ours, folder, answer["snp"][0]["digest"])
        print(f"peers: {digests} SEV-SNP launch digests, 3 Nitro registers, 2 ID blocks: all equal")


def check_snp(shapes, kernel, initrd):
    firmware = image / "firmware/OVMF.amdsev.fd"
    pages = guest.calc_snp_ovmf_hash(str(firmware)).hex()
    for entry in shapes:
        shape = entry["shape"]
        signature = vcpu_types.CPU_SIGS[shape["cpu"]]
        theirs = guest.calc_launch_digest(
            SevMode.SEV_SNP, shape["vcpus"], signature, str(firmware), str(kernel), str(initrd), cmdline,
            shape["guest_features"], snp_ovmf_hash_str=pages,
        ).hex()
        equal(shape, entry["digest"], theirs)
    assert len({entry["digest"] for entry in shapes}) == len(shapes) >= 20
    return len(shapes)


def check_nitro(registers, kernel, ramdisks):
    def register(*parts):
        return hashlib.sha384(bytes(48) + hashlib.sha384(b"".join(parts)).digest()).hexdigest()

    boot = [kernel, cmdline.encode(), ramdisks[0]]
    equal("PCR0", registers["PCR0"], register(*boot, *ramdisks[1:]))
    equal("PCR1", registers["PCR1"], register(*boot))
    equal("PCR2", registers["PCR2"], register(*ramdisks[1:]))


def check_id_blocks(ours, folder, digest):
    """The peer's block passes our check, ours passes one that is written with the peer's structures."""
    keys = {}
    for name, form in (("id", serialization.PrivateFormat.PKCS8), ("author", serialization.PrivateFormat.TraditionalOpenSSL)):
        keys[name] = ec.generate_private_key(ec.SECP384R1())
        pem = keys[name].private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())
        (folder / f"{name}.pem").write_bytes(pem)
    paths = (str(folder / "id.pem"), str(folder / "author.pem"))

    lines = id_block.snp_calc_id_block(bytes.fromhex(digest), *paths).splitlines()
    (folder / "theirs").write_text(lines[0])
    verified = ours("--check-id-block", folder / "theirs")
    equal("launch digest", verified["launch_digest"], digest)
    for ours_name, line in (("id_key_digest", lines[1]), ("author_key_digest", lines[2])):
        equal(ours_name, verified[ours_name], base64.b64decode(line.split(": ")[1]).hex())

    properties = dict(pair.split("=", 1) for pair in ours("--id-block", digest, *paths).split(","))
    assert properties["author-key-enabled"] == "on"
    block, auth = (base64.b64decode(properties[name]) for name in ("id-block", "id-auth"))
    fields = id_block.IdAuth.from_buffer_copy(auth)
    for key, signature, message in (
        (keys["id"], fields.block_sig, block),
        (keys["author"], fields.id_key_sig, bytes(fields.id_key)),
    ):
        parts = id_block.SnpSignature.from_buffer_copy(bytes(signature))
        r, s = (int.from_bytes(bytes(part), "little") for part in (parts.sig_r, parts.sig_s))
        key.public_key().verify(utils.encode_dss_signature(r, s), message, ec.ECDSA(hashes.SHA384()))
    equal("ID key", bytes(fields.id_key), id_block.marshal_ec_public_key(keys["id"]))
    equal("author key", bytes(fields.author_key), id_block.marshal_ec_public_key(keys["author"]))


def equal(what, ours, theirs):
    if ours != theirs:
        sys.exit(f"peers: {what}: we say {ours}, the peer says {theirs}")


main(sys.argv[1])
