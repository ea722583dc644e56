/* SPDX-License-Identifier: Apache-2.0 */
#include "swap/swap_bpf.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <string.h>
#include <sys/socket.h>

enum { IPV4_SOURCE = 12, IPV6_SOURCE = 8, IPV6_HEADER = 40 };

struct program {
    struct sock_filter *v;
    size_t n;
};

static void emit(struct program *p, uint16_t code, uint8_t yes, uint8_t no, uint32_t k)
{
    assert(p->n < SWAP_BPF_MAX);
    p->v[p->n++] = (struct sock_filter){.code = code, .jt = yes, .jf = no, .k = k};
}

static void load(struct program *p, uint16_t size, int at)
{
    emit(p, BPF_LD | BPF_ABS | size, 0, 0, (uint32_t)at);
}

static void answer(struct program *p, uint32_t index)
{
    emit(p, BPF_RET | BPF_K, 0, 0, index);
}

static void choose(struct program *p, const struct swap_indices *set)
{
    if (set->n > 1) {
        load(p, BPF_W, SKF_AD_OFF + SKF_AD_RANDOM);
        emit(p, BPF_ALU | BPF_MOD | BPF_K, 0, 0, (uint32_t)set->n);
        for (size_t i = 0; i + 1 < set->n; i++) {
            emit(p, BPF_JMP | BPF_JEQ | BPF_K, 0, 1, (uint32_t)i);
            answer(p, set->v[i]);
        }
    }
    answer(p, set->v[set->n - 1]);
}

/* Where the test just made fails, the connection is ordinary: over the jump that is patched. */
static void unless(struct program *p, uint32_t k, size_t *patches, size_t *patch_n)
{
    emit(p, BPF_JMP | BPF_JEQ | BPF_K, 1, 0, k);
    patches[(*patch_n)++] = p->n;
    emit(p, BPF_JMP | BPF_JA, 0, 0, 0);
}

static void patch(struct program *p, const size_t *patches, size_t patch_n)
{
    for (size_t i = 0; i < patch_n; i++)
        p->v[patches[i]].k = (uint32_t)(p->n - patches[i] - 1);
}

static void if_preview4(struct program *p, const struct swap_route *r)
{
    size_t patches[2], n = 0;

    load(p, BPF_W, SKF_AD_OFF + SKF_AD_PROTOCOL);
    unless(p, ETH_P_IP, patches, &n);
    load(p, BPF_W, SKF_NET_OFF + IPV4_SOURCE);
    unless(p, ntohl(r->preview4.s_addr), patches, &n);
    choose(p, &r->preview);
    patch(p, patches, n);
}

static void if_preview6(struct program *p, const struct swap_route *r)
{
    size_t patches[6], n = 0;

    load(p, BPF_W, SKF_AD_OFF + SKF_AD_PROTOCOL);
    unless(p, ETH_P_IPV6, patches, &n);
    for (int i = 0; i < 4; i++) {
        uint32_t word;

        memcpy(&word, &r->preview6.s6_addr[i * 4], 4);
        load(p, BPF_W, SKF_NET_OFF + IPV6_SOURCE + i * 4);
        unless(p, ntohl(word), patches, &n);
    }
    load(p, BPF_H, SKF_NET_OFF + IPV6_HEADER);
    emit(p, BPF_ALU | BPF_AND | BPF_K, 0, 0, (uint16_t) ~(SWAP_PREVIEW_PORTS - 1));
    unless(p, SWAP_PREVIEW_PORT, patches, &n);
    choose(p, &r->preview);
    patch(p, patches, n);
}

size_t swap_bpf_build(const struct swap_route *r, struct sock_filter program[SWAP_BPF_MAX])
{
    struct program p = {.v = program};

    if (r->preview.n) {
        if_preview4(&p, r);
        if_preview6(&p, r);
    }
    if (r->share) {
        size_t at;

        load(&p, BPF_W, SKF_AD_OFF + SKF_AD_RANDOM);
        emit(&p, BPF_ALU | BPF_MOD | BPF_K, 0, 0, SWAP_SHARE_ALL);
        emit(&p, BPF_JMP | BPF_JGE | BPF_K, 0, 1, r->share);
        at = p.n;
        emit(&p, BPF_JMP | BPF_JA, 0, 0, 0);
        choose(&p, &r->other);
        patch(&p, &at, 1);
    }
    choose(&p, &r->main);
    return p.n;
}

int swap_bpf_attach(int fd, const struct swap_route *route, struct rel_err *e)
{
    struct sock_filter program[SWAP_BPF_MAX];
    struct sock_fprog prog = {.filter = program};

    prog.len = (unsigned short)swap_bpf_build(route, program);
    if (setsockopt(fd, SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, &prog, sizeof(prog)) < 0)
        return rel_fail(e, REL_E_UNSUPPORTED, errno, "attach a program to a listener group");
    return 0;
}

void swap_bpf_detach(int fd)
{
    int none = 0;

    (void)!setsockopt(fd, SOL_SOCKET, SO_DETACH_REUSEPORT_BPF, &none, sizeof(none));
}
