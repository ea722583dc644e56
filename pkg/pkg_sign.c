/* SPDX-License-Identifier: Apache-2.0 */
#include "pkg/pkg_sign.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <string.h>
#include <sys/stat.h>

#include "base/rel_io.h"
#include "pkg/pkg_digest.h"

#define HEAD   "relpack-signature 1\ned25519 "
#define DOMAIN "relpack manifest 1\n"

enum {
    KEY_LEN = 32,
    SIGNATURE_LEN = 64,
    BASE64_LEN = 88, /* of 64 bytes */
    KEY_FILE_MAX = 4096
};

struct pkg_key {
    EVP_PKEY *pkey;
    char id[PKG_KEY_ID_LEN];
};

static void pkey_free_p(EVP_PKEY **p)
{
    EVP_PKEY_free(*p);
}
#define autopkey __attribute__((cleanup(pkey_free_p)))

static void bio_free_p(BIO **b)
{
    BIO_free(*b);
}
#define autobio __attribute__((cleanup(bio_free_p)))

static void md_free_p(EVP_MD_CTX **ctx)
{
    EVP_MD_CTX_free(*ctx);
}
#define automd __attribute__((cleanup(md_free_p)))

static bool id_of(const EVP_PKEY *pkey, char id[PKG_KEY_ID_LEN])
{
    unsigned char raw[KEY_LEN], sha256[PKG_SHA256_LEN];
    char hex[PKG_SHA256_HEX];
    size_t n = sizeof(raw);

    if (EVP_PKEY_get_raw_public_key(pkey, raw, &n) != 1 || n != sizeof(raw))
        return false;
    pkg_sha256(raw, sizeof(raw), sha256);
    pkg_sha256_hex(sha256, hex);
    snprintf(id, PKG_KEY_ID_LEN, "%.16s", hex);
    return true;
}

/* Takes the name, empty, so that of two who want it at once one gets it. */
static int reserve(const char *path, struct rel_err *e)
{
    rel_autoclose int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

    if (fd < 0 && errno == EEXIST)
        return rel_fail(e, REL_E_INPUT, 0, "%s is there already, a key is never overwritten", path);
    return fd < 0 ? rel_fail(e, errno == ENOENT ? REL_E_INPUT : REL_E_IO, errno, "create %s", path)
                  : 0;
}

/* Writes what `bio` holds into the reserved file `path`. */
static int write_pem(BIO *bio, const char *path, mode_t mode, struct rel_err *e)
{
    char *text;
    long len = BIO_get_mem_data(bio, &text);

    return rel_replace_file(AT_FDCWD, path, text, (size_t)len, mode, e);
}

int pkg_key_make(const char *name, char id[PKG_KEY_ID_LEN], struct rel_err *e)
{
    rel_autofree char *secret = rel_strf("%s.key", name), *public = rel_strf("%s.pub", name);
    autopkey EVP_PKEY *pkey = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
    /* in memory that is wiped when it is freed */
    autobio BIO *secret_pem = BIO_new(BIO_s_secmem()), *public_pem = BIO_new(BIO_s_mem());

    if (!*name || name[strlen(name) - 1] == '/')
        return rel_fail(e, REL_E_USAGE, 0,
                        "a pair of keys needs a name, as in 'relpack keygen me'");
    if (!pkey || !secret_pem || !public_pem || !id_of(pkey, id) ||
        PEM_write_bio_PrivateKey(secret_pem, pkey, NULL, NULL, 0, NULL, NULL) != 1 ||
        PEM_write_bio_PUBKEY(public_pem, pkey) != 1)
        return rel_fail(e, REL_E_INTERNAL, 0, "libcrypto does not make ed25519 keys");
    if (reserve(secret, e) < 0)
        return -1;
    if (reserve(public, e) < 0)
        goto undo_secret;
    if (write_pem(secret_pem, secret, 0600, e) < 0 || write_pem(public_pem, public, 0644, e) < 0)
        goto undo;
    return 0;

undo:
    unlink(public);
undo_secret:
    unlink(secret);
    return -1;
}

static int take_key(EVP_PKEY *pkey, const char *path, const char *what, struct pkg_key **key,
                    struct rel_err *e)
{
    struct pkg_key *made;

    if (!pkey || EVP_PKEY_get_id(pkey) != EVP_PKEY_ED25519) {
        EVP_PKEY_free(pkey);
        return rel_fail(e, REL_E_INPUT, 0, "%s holds no %s ed25519 key; 'relpack keygen' makes one",
                        path, what);
    }
    made = rel_xcalloc(1, sizeof(*made));
    made->pkey = pkey;
    if (!id_of(pkey, made->id))
        abort(); /* every ed25519 key has a raw form */
    *key = made;
    return 0;
}

/* Without a terminal to ask at: an encrypted key is as none. */
static int no_password(char *buf, int size, int rwflag, void *ctx)
{
    (void)buf;
    (void)size;
    (void)rwflag;
    (void)ctx;
    return -1;
}

int pkg_key_read_secret(const char *path, struct pkg_key **key, struct rel_err *e)
{
    rel_autofree char *text = NULL;
    autobio BIO *bio = NULL;
    struct stat st = {0};
    EVP_PKEY *pkey;
    size_t len;

    if (stat(path, &st) < 0 || S_ISDIR(st.st_mode))
        return rel_fail(e, REL_E_INPUT, S_ISDIR(st.st_mode) ? EISDIR : errno, "read the key %s",
                        path);
    if (st.st_mode & 077)
        return rel_fail(e, REL_E_INPUT, 0,
                        "others can read the secret key %s: chmod 600 it, and make a new one if "
                        "somebody may have",
                        path);
    if (rel_read_file(AT_FDCWD, path, KEY_FILE_MAX, &text, &len, e) < 0) {
        e->code = REL_E_INPUT;
        return rel_wrap(e, "the key");
    }
    bio = BIO_new_mem_buf(text, (int)len);
    pkey = bio ? PEM_read_bio_PrivateKey(bio, NULL, no_password, NULL) : NULL;
    OPENSSL_cleanse(text, len);
    return take_key(pkey, path, "secret", key, e);
}

int pkg_key_read_public(const char *path, struct pkg_key **key, struct rel_err *e)
{
    rel_autofree char *text = NULL;
    autobio BIO *bio = NULL;
    size_t len;

    if (rel_read_file(AT_FDCWD, path, KEY_FILE_MAX, &text, &len, e) < 0) {
        e->code = REL_E_INPUT;
        return rel_wrap(e, "the key");
    }
    if (strstr(text, "PRIVATE KEY")) {
        OPENSSL_cleanse(text, len);
        return rel_fail(e, REL_E_INPUT, 0,
                        "%s is a secret key; give the public one, which ends in .pub", path);
    }
    bio = BIO_new_mem_buf(text, (int)len);
    return take_key(bio ? PEM_read_bio_PUBKEY(bio, NULL, NULL, NULL) : NULL, path, "public", key,
                    e);
}

void pkg_key_free(struct pkg_key **key)
{
    if (*key)
        EVP_PKEY_free((*key)->pkey);
    free(*key);
    *key = NULL;
}

const char *pkg_key_id(const struct pkg_key *key)
{
    return key->id;
}

/* ed25519 takes a message in one piece. */
static void add_message(struct rel_buf *message, const void *manifest, size_t len)
{
    rel_buf_adds(message, DOMAIN);
    rel_buf_add(message, manifest, len);
}

int pkg_sign(const struct pkg_key *secret, const void *manifest, size_t len,
             struct rel_buf *signature, struct rel_err *e)
{
    automd EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    rel_autobuf struct rel_buf message = {0};
    unsigned char raw[SIGNATURE_LEN], base64[BASE64_LEN + 1];
    size_t n = sizeof(raw);

    add_message(&message, manifest, len);
    if (!ctx || EVP_DigestSignInit(ctx, NULL, NULL, NULL, secret->pkey) != 1 ||
        EVP_DigestSign(ctx, raw, &n, (unsigned char *)message.p, message.len) != 1)
        return rel_fail(e, REL_E_INTERNAL, 0, "libcrypto does not sign with key %s", secret->id);
    EVP_EncodeBlock(base64, raw, SIGNATURE_LEN);
    rel_buf_addf(signature, HEAD "%s %s\n", secret->id, (char *)base64);
    return 0;
}

/* The parts of a signature file, which is exactly as pkg_sign writes it. */
static bool split(const char *signature, char id[PKG_KEY_ID_LEN], unsigned char raw[SIGNATURE_LEN])
{
    unsigned char decoded[SIGNATURE_LEN + 3], again[BASE64_LEN + 1];
    const char *at = signature + strlen(HEAD);
    const size_t id_n = PKG_KEY_ID_LEN - 1;

    if (strlen(signature) != strlen(HEAD) + id_n + 1 + BASE64_LEN + 1 ||
        strncmp(signature, HEAD, strlen(HEAD)) != 0 || strspn(at, "0123456789abcdef") != id_n ||
        at[id_n] != ' ' || at[id_n + 1 + BASE64_LEN] != '\n')
        return false;
    /* it counts the padding as data */
    if (EVP_DecodeBlock(decoded, (const unsigned char *)at + id_n + 1, BASE64_LEN) !=
        SIGNATURE_LEN + 2)
        return false;
    EVP_EncodeBlock(again, decoded, SIGNATURE_LEN); /* one text for one signature */
    if (memcmp(again, at + id_n + 1, BASE64_LEN) != 0)
        return false;
    memcpy(raw, decoded, SIGNATURE_LEN);
    snprintf(id, PKG_KEY_ID_LEN, "%.16s", at);
    return true;
}

static int no_signature(struct rel_err *e)
{
    return rel_fail(e, REL_E_INPUT, 0,
                    "its signature is damaged: relpack.sig is not as relpack "
                    "writes it");
}

int pkg_signature_key_id(const char *signature, char id[PKG_KEY_ID_LEN], struct rel_err *e)
{
    unsigned char raw[SIGNATURE_LEN];

    return split(signature, id, raw) ? 0 : no_signature(e);
}

int pkg_sign_check(const struct pkg_key *public_key, const void *manifest, size_t len,
                   const char *signature, struct rel_err *e)
{
    automd EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    rel_autobuf struct rel_buf message = {0};
    unsigned char raw[SIGNATURE_LEN];
    char id[PKG_KEY_ID_LEN];

    if (!split(signature, id, raw))
        return no_signature(e);
    if (strcmp(id, public_key->id) != 0)
        return rel_fail(e, REL_E_INPUT, 0, "it is signed by the key %s, not by %s", id,
                        public_key->id);
    add_message(&message, manifest, len);
    if (!ctx || EVP_DigestVerifyInit(ctx, NULL, NULL, NULL, public_key->pkey) != 1)
        return rel_fail(e, REL_E_INTERNAL, 0, "libcrypto does not verify with key %s", id);
    if (EVP_DigestVerify(ctx, raw, sizeof(raw), (unsigned char *)message.p, message.len) != 1)
        return rel_fail(e, REL_E_INPUT, 0,
                        "its signature is not one of its manifest: one of the two was changed");
    return 0;
}
