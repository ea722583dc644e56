/* SPDX-License-Identifier: Apache-2.0 */
#include "hotload/hot_handshake.h"

#include <endian.h>
#include <inttypes.h>
#include <stdbool.h>
#include <string.h>

#include "base/rel_io.h"
#include "hotload/hot_agent.h"
#include "hotload/hot_md5.h"

enum { PACKET_MAX = 2048, STATUS_MAX = 40 };

/* What every OTP since 25 insists on, and that we ask for a name (dist.hrl). No atom cache, no
 * fragments: messages come whole, and as terms. */
#define FLAGS                                                                                 \
    (0x4 /* EXTENDED_REFERENCES */ | 0x8 /* DIST_MONITOR */ | 0x10 /* FUN_TAGS */ |           \
     0x80 /* NEW_FUN_TAGS */ | 0x100 /* EXTENDED_PIDS_PORTS */ | 0x200 /* EXPORT_PTR_TAG */ | \
     0x400 /* BIT_BINARIES */ | 0x800 /* NEW_FLOATS */ | 0x4000 /* SMALL_ATOM_TAGS */ |       \
     0x10000 /* UTF8_ATOMS */ | 0x20000 /* MAP_TAG */ | 0x40000 /* BIG_CREATION */ |          \
     0x1000000 /* HANDSHAKE_23 */ | 0x2000000 /* UNLINK_ID */ |                               \
     0x4000000 /* MANDATORY_25_DIGEST */ | 1ULL << 33 /* NAME_ME */ | 1ULL << 34 /* V4_NC */)

struct shake {
    const struct hot_greeting *g;
    struct hot_reader in;
    bool proved; /* our digest is on its way */
};

/* What is left of a packet. */
struct packet {
    const unsigned char *p;
    size_t left;
};

static bool take(struct packet *k, void *out, size_t n)
{
    if (n > k->left)
        return false;
    memcpy(out, k->p, n);
    k->p += n;
    k->left -= n;
    return true;
}

static bool take_u32(struct packet *k, uint32_t *n)
{
    if (!take(k, n, sizeof(*n)))
        return false;
    *n = be32toh(*n);
    return true;
}

/* A length of two bytes and a node's name. */
static bool take_name(struct packet *k, char out[MAXATOMLEN_UTF8])
{
    uint16_t len;

    if (!take(k, &len, sizeof(len)) || be16toh(len) >= MAXATOMLEN || !take(k, out, be16toh(len)))
        return false;
    out[be16toh(len)] = '\0';
    return strlen(out) == be16toh(len) && hot_is_atom(out);
}

static int stranger(const struct shake *s, const char *why, struct rel_err *e)
{
    return rel_fail(e, REL_E_UNREACHABLE, 0, "what listens on port %d is not node %s: %s",
                    s->g->port, s->g->node, why);
}

static int explain(const struct shake *s, const struct rel_err *why, struct rel_err *e)
{
    if (why->code == REL_E_TIMEOUT)
        return rel_fail(e, REL_E_UNREACHABLE, 0, "node %s does not answer in time", s->g->node);
    if (s->proved)
        return rel_fail(e, REL_E_UNREACHABLE, 0, "node %s refuses the cookie in %s", s->g->node,
                        s->g->cookie_file);
    return stranger(s, why->msg, e);
}

static int say(const struct shake *s, const void *bytes, size_t len, struct rel_err *e)
{
    const struct hot_piece piece = {bytes, len};
    struct rel_err why = {0};

    if (hot_send_packet(s->in.fd, 2, &piece, 1, s->g->until_ms, &why) < 0)
        return explain(s, &why, e);
    return 0;
}

/* The next packet, which must begin with `tag`; *bytes is owned by the caller. */
static int hear(struct shake *s, char tag, char **bytes, struct packet *k, struct rel_err *e)
{
    struct rel_err why = {0};
    size_t len;

    if (hot_reader_next(&s->in, s->g->until_ms, bytes, &len, &why) < 0)
        return explain(s, &why, e);
    if (!len || **bytes != tag)
        return stranger(s, "it does not speak the distribution protocol of OTP 23 or later", e);
    *k = (struct packet){.p = (const unsigned char *)*bytes + 1, .left = len - 1};
    return 0;
}

static int ask_for_name(const struct shake *s, struct rel_err *e)
{
    static const char host[] = "localhost"; /* whom the name is to end in */
    struct __attribute__((packed)) {
        char tag;
        uint64_t flags;
        uint32_t creation; /* comes with the name */
        uint16_t name_len;
        char name[sizeof(host) - 1];
    } packet = {'N', htobe64(FLAGS), 0, htobe16(sizeof(host) - 1), {0}};

    memcpy(packet.name, host, sizeof(host) - 1);
    return say(s, &packet, sizeof(packet), e);
}

static int hear_status(struct shake *s, erlang_pid *self, struct rel_err *e)
{
    rel_autofree char *bytes = NULL;
    char word[6], status[STATUS_MAX] = "";
    struct packet k;
    uint32_t creation;

    if (hear(s, 's', &bytes, &k, e) < 0)
        return -1;
    memcpy(status, k.p, k.left < sizeof(status) - 1 ? k.left : sizeof(status) - 1);
    if (!take(&k, word, sizeof(word)) || memcmp(word, "named:", sizeof(word)) != 0)
        return rel_fail(e, REL_E_UNREACHABLE, 0, "node %s does not let us in: %s", s->g->node,
                        status);
    if (!take_name(&k, self->node) || !take_u32(&k, &creation))
        return stranger(s, "it does not give us a name", e);
    self->num = 1;
    self->creation = creation;
    return 0;
}

static int hear_challenge(struct shake *s, uint32_t *challenge, struct rel_err *e)
{
    rel_autofree char *bytes = NULL;
    char name[MAXATOMLEN_UTF8];
    uint32_t creation;
    struct packet k;
    uint64_t flags;

    if (hear(s, 'N', &bytes, &k, e) < 0)
        return -1;
    if (!take(&k, &flags, sizeof(flags)) || !take_u32(&k, challenge) || !take_u32(&k, &creation) ||
        !take_name(&k, name))
        return stranger(s, "it does not tell its name", e);
    if (strcmp(name, s->g->node) != 0)
        return rel_fail(e, REL_E_UNREACHABLE, 0, "node %s is not running: node %s answers there",
                        s->g->node, name);
    return 0;
}

static void make_digest(const char *cookie, uint32_t challenge, unsigned char out[HOT_MD5_LEN])
{
    rel_autofree char *text = rel_strf("%s%" PRIu32, cookie, challenge);

    hot_md5(text, strlen(text), out);
    explicit_bzero(text, strlen(text));
}

static int answer(struct shake *s, uint32_t theirs, uint32_t ours, struct rel_err *e)
{
    struct __attribute__((packed)) {
        char tag;
        uint32_t challenge;
        unsigned char digest[HOT_MD5_LEN];
    } packet = {.tag = 'r', .challenge = htobe32(ours)};

    make_digest(s->g->cookie, theirs, packet.digest);
    s->proved = true;
    return say(s, &packet, sizeof(packet), e);
}

static int hear_proof(struct shake *s, uint32_t ours, struct rel_err *e)
{
    unsigned char want[HOT_MD5_LEN], got[HOT_MD5_LEN], differs = 0;
    rel_autofree char *bytes = NULL;
    struct packet k;

    if (hear(s, 'a', &bytes, &k, e) < 0)
        return -1;
    make_digest(s->g->cookie, ours, want);
    if (!take(&k, got, sizeof(got)))
        return stranger(s, "it does not prove that it knows the cookie", e);
    for (size_t i = 0; i < sizeof(want); i++) /* in a time that tells nothing */
        differs |= want[i] ^ got[i];
    return differs ? stranger(s, "it does not know the cookie", e) : 0;
}

int hot_greet(int fd, const struct hot_greeting *g, erlang_pid *self, struct rel_err *e)
{
    struct shake s = {.g = g, .in = {.fd = fd, .head_n = 2, .max = PACKET_MAX}};
    uint32_t theirs = 0, ours;
    erlang_pid pid = {.num = 0};
    int rc = rel_random(&ours, sizeof(ours), e);

    if (!rc)
        rc = ask_for_name(&s, e);
    if (!rc)
        rc = hear_status(&s, &pid, e);
    if (!rc)
        rc = hear_challenge(&s, &theirs, e);
    if (!rc)
        rc = answer(&s, theirs, ours, e);
    if (!rc)
        rc = hear_proof(&s, ours, e);
    hot_reader_fini(&s.in);
    if (!rc)
        *self = pid;
    return rc;
}
