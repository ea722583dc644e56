/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "bench/load/load.h"

static const char *const failure_name[FAILURE_N] = {
#define XX(constant, name) #name,
    FAILURE_MAP(XX)
#undef XX
};

/* Buckets are exact below STEPS, then STEPS an octave. */
static size_t bucket_of(uint32_t us)
{
    unsigned octave = us < STEPS ? 0 : (unsigned)(31 - __builtin_clz(us)) - 5;

    return octave ? octave * STEPS + (us >> octave) : us;
}

static uint32_t bucket_us(size_t bucket)
{
    size_t octave = bucket / STEPS;

    /* the high half of an octave's steps is used: its lowest is STEPS / 2 */
    return octave ? (uint32_t)((bucket % STEPS) << octave) : (uint32_t)bucket;
}

void load_count_ok(struct load *l, const struct conn *c)
{
    uint32_t us = (uint32_t)((c->last_ns - c->due_ns) / 1000);

    if (l->ok && c->last_ns - l->last_ok_ns > l->gap_ns)
        l->gap_ns = c->last_ns - l->last_ok_ns;
    l->last_ok_ns = c->last_ns;
    l->latency[bucket_of(us)]++;
    l->max_us = us > l->max_us ? us : l->max_us;
    l->ok++;
}

/* Answers are counted by their first line; kinds beyond the table (a counter's, say) are not. */
void load_count_body(struct load *l, const char *body, size_t len)
{
    struct body_kind kind = {.n = 1};
    size_t i;

    for (i = 0; i < len && i < sizeof kind.line - 1 && body[i] != '\n' && body[i] != '\r'; i++)
        kind.line[i] = body[i] >= ' ' && body[i] != '"' && body[i] != '\\' ? body[i] : '?';
    for (i = 0; i < l->body_n; i++)
        if (!strcmp(l->bodies[i].line, kind.line)) {
            l->bodies[i].n++;
            return;
        }
    if (l->body_n < BODY_KIND_MAX)
        l->bodies[l->body_n++] = kind;
}

static double latency_ms(const struct load *l, double percent)
{
    uint64_t rank = (uint64_t)((double)l->ok * percent / 100), seen = 0;

    for (size_t i = 0; i < sizeof l->latency / sizeof *l->latency; i++) {
        seen += l->latency[i];
        if (seen > rank)
            return bucket_us(i) / 1000.0;
    }
    return l->max_us / 1000.0;
}

uint64_t load_failed(const struct load *l)
{
    uint64_t sum = 0;

    for (int i = 0; i < FAILURE_N; i++)
        sum += l->failed[i];
    return sum;
}

static void print_json(const struct load *l)
{
    printf("{\"sent\":%" PRIu64 ",\"ok\":%" PRIu64 ",\"failed\":%" PRIu64 ",\"failures\":{",
           l->sent, l->ok, load_failed(l));
    for (int i = 0; i < FAILURE_N; i++)
        printf("%s\"%s\":%" PRIu64, i ? "," : "", failure_name[i], l->failed[i]);
    fputs("},\"answers\":{", stdout);
    for (size_t i = 0; i < l->body_n; i++)
        printf("%s\"%s\":%" PRIu64, i ? "," : "", l->bodies[i].line, l->bodies[i].n);
    printf("},\"seconds\":%.3f,\"longest_gap_ms\":%.3f,\"latency_ms\":{\"p50\":%.3f,\"p99\":%.3f,"
           "\"p999\":%.3f,\"max\":%.3f}}\n",
           (double)l->took_ns / NS_PER_S, (double)l->gap_ns / NS_PER_MS, latency_ms(l, 50),
           latency_ms(l, 99), latency_ms(l, 99.9), l->max_us / 1000.0);
}

static void print_table(const struct load *l)
{
    printf("%-24s %" PRIu64 " in %.1f s\n", "requests", l->sent, (double)l->took_ns / NS_PER_S);
    for (size_t i = 0; i < l->body_n; i++)
        printf("  %-22s %" PRIu64 "\n", l->bodies[i].line, l->bodies[i].n);
    printf("%-24s %" PRIu64 "\n", "failed", load_failed(l));
    for (int i = 0; i < FAILURE_N; i++)
        if (l->failed[i])
            printf("  %-22s %" PRIu64 "\n", failure_name[i], l->failed[i]);
    printf("%-24s %.1f ms\n", "longest gap", (double)l->gap_ns / NS_PER_MS);
    printf("%-24s %.1f / %.1f / %.1f / %.1f ms\n", "latency p50 p99 p99.9 max", latency_ms(l, 50),
           latency_ms(l, 99), latency_ms(l, 99.9), l->max_us / 1000.0);
}

void load_print(const struct load *l)
{
    if (l->opt.json)
        print_json(l);
    else
        print_table(l);
}
