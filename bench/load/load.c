/* SPDX-License-Identifier: Apache-2.0 */
/* The command line. Exit: 0 every request was answered with 200, 1 some were not, 2 usage. */
#include <arpa/inet.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/load/load.h"

__attribute__((noreturn)) static void usage(const char *why)
{
    fprintf(stderr,
            "load: %s\nusage: load --url http://ADDRESS:PORT/PATH [--rate N | --closed-loop N]"
            " [--keepalive N] [--seconds N] [--timeout-ms N] [--until-file F] [--json]\n"
            "  ADDRESS is one of loopback; with --private also 10.x.x.x, for links that a test"
            " made\n",
            why);
    exit(2);
}

static int number(const char *text, int high)
{
    char *end;
    long n = strtol(text, &end, 10);

    if (end == text || *end || n < 1 || n > high)
        usage("a number is missing, not one or too large");
    return (int)n;
}

/* Never anybody else's machine. */
static bool set_address(struct options *o, const char *host, int port)
{
    struct sockaddr_in a4 = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    struct sockaddr_in6 a6 = {.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)port)};
    unsigned net;

    if (inet_pton(AF_INET6, host, &a6.sin6_addr) == 1) {
        memcpy(&o->address, &a6, sizeof a6);
        o->address_len = sizeof a6;
        return IN6_IS_ADDR_LOOPBACK(&a6.sin6_addr);
    }
    if (inet_pton(AF_INET, host, &a4.sin_addr) != 1)
        return false;
    memcpy(&o->address, &a4, sizeof a4);
    o->address_len = sizeof a4;
    net = ntohl(a4.sin_addr.s_addr) >> 24;
    return net == 127 || (o->any_private && net == 10);
}

static void set_url(struct options *o, const char *url)
{
    char host[64] = "", port[8] = "", rest[512] = "/";

    if (sscanf(url, "http://[%63[0-9a-fA-F:]]:%7[0-9]%511s", host, port, rest) < 2 &&
        sscanf(url, "http://%63[0-9.]:%7[0-9]%511s", host, port, rest) < 2)
        usage("--url is http://ADDRESS:PORT/PATH");
    if (!set_address(o, host, number(port, 65535)))
        usage("only loopback addresses are loaded");
    snprintf(o->path, sizeof o->path, "%s", rest);
    snprintf(o->host, sizeof o->host, "%s:%s", host, port);
}

static void read_options(struct options *o, int argc, char **argv)
{
    static const struct option table[] = {
        {"url", 1, NULL, 'u'},         {"rate", 1, NULL, 'r'},
        {"seconds", 1, NULL, 's'},     {"keepalive", 1, NULL, 'k'},
        {"closed-loop", 1, NULL, 'c'}, {"timeout-ms", 1, NULL, 't'},
        {"until-file", 1, NULL, 'f'},  {"json", 0, NULL, 'j'},
        {"private", 0, NULL, 'p'},     {0}};
    const char *url = NULL;
    int c;

    while ((c = getopt_long(argc, argv, "", table, NULL)) != -1) {
        if (c == 'u')
            url = optarg;
        else if (c == 'r')
            o->rate = number(optarg, RATE_MAX);
        else if (c == 's')
            o->seconds = number(optarg, SECONDS_MAX);
        else if (c == 'k')
            o->keepalive = number(optarg, CONN_MAX);
        else if (c == 'c')
            o->closed_loop = number(optarg, CONN_MAX);
        else if (c == 't')
            o->timeout_ms = number(optarg, 60000);
        else if (c == 'f')
            o->until_file = optarg;
        else if (c == 'j')
            o->json = true;
        else if (c == 'p')
            o->any_private = true;
        else
            usage("unknown option");
    }
    if (!url || optind != argc)
        usage("--url is needed, and nothing beside the options");
    set_url(o, url);
}

int main(int argc, char **argv)
{
    struct load *l = calloc(1, sizeof *l);
    bool failed;

    if (!l)
        return 1;
    l->opt = (struct options){.rate = 100, .seconds = 10, .timeout_ms = 5000};
    read_options(&l->opt, argc, argv);
    if (load_prepare(l) < 0) {
        perror("load");
        return 1;
    }
    load_run(l);
    load_print(l);
    failed = load_failed(l) != 0;
    free(l->conns);
    free(l);
    return failed ? 1 : 0;
}
