/* SPDX-License-Identifier: Apache-2.0 */
#include "hotload/hot_md5.h"

#include <endian.h>
#include <stdint.h>
#include <string.h>

enum { BLOCK = 64, ROUNDS = 64, LENGTH_AT = 56 };

/* floor(2^32 * abs(sin(i + 1))) */
static const uint32_t sines[ROUNDS] = {
    0xd76aa478, 0xe8c7b756, 0x242070db, 0xc1bdceee, 0xf57c0faf, 0x4787c62a, 0xa8304613, 0xfd469501,
    0x698098d8, 0x8b44f7af, 0xffff5bb1, 0x895cd7be, 0x6b901122, 0xfd987193, 0xa679438e, 0x49b40821,
    0xf61e2562, 0xc040b340, 0x265e5a51, 0xe9b6c7aa, 0xd62f105d, 0x02441453, 0xd8a1e681, 0xe7d3fbc8,
    0x21e1cde6, 0xc33707d6, 0xf4d50d87, 0x455a14ed, 0xa9e3e905, 0xfcefa3f8, 0x676f02d9, 0x8d2a4c8a,
    0xfffa3942, 0x8771f681, 0x6d9d6122, 0xfde5380c, 0xa4beea44, 0x4bdecfa9, 0xf6bb4b60, 0xbebfbc70,
    0x289b7ec6, 0xeaa127fa, 0xd4ef3085, 0x04881d05, 0xd9d4d039, 0xe6db99e5, 0x1fa27cf8, 0xc4ac5665,
    0xf4292244, 0x432aff97, 0xab9423a7, 0xfc93a039, 0x655b59c3, 0x8f0ccc92, 0xffeff47d, 0x85845dd1,
    0x6fa87e4f, 0xfe2ce6e0, 0xa3014314, 0x4e0811a1, 0xf7537e82, 0xbd3af235, 0x2ad7d2bb, 0xeb86d391};

static uint32_t rotate(uint32_t x, unsigned n)
{
    return x << n | x >> (32 - n);
}

static void add_block(uint32_t state[4], const unsigned char block[BLOCK])
{
    static const unsigned char turns[4][4] = {
        {7, 12, 17, 22}, {5, 9, 14, 20}, {4, 11, 16, 23}, {6, 10, 15, 21}};
    static const unsigned char step[4] = {1, 5, 3, 7}, start[4] = {0, 1, 5, 0};
    uint32_t a = state[0], b = state[1], c = state[2], d = state[3];

    for (unsigned i = 0; i < ROUNDS; i++) {
        unsigned round = i / 16;
        const uint32_t mixed[4] = {(b & c) | (~b & d), (d & b) | (~d & c), b ^ c ^ d, c ^ (b | ~d)};
        uint32_t word, next;

        memcpy(&word, block + 4 * ((i * step[round] + start[round]) % 16), sizeof(word));
        next = b + rotate(a + mixed[round] + sines[i] + le32toh(word), turns[round][i % 4]);
        a = d;
        d = c;
        c = b;
        b = next;
    }
    state[0] += a;
    state[1] += b;
    state[2] += c;
    state[3] += d;
}

void hot_md5(const void *bytes, size_t len, unsigned char out[HOT_MD5_LEN])
{
    uint32_t state[4] = {0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476};
    const unsigned char *p = bytes;
    uint64_t bits = htole64((uint64_t)len * 8);
    unsigned char tail[2 * BLOCK] = {0};
    size_t left = len % BLOCK, tail_len = left < LENGTH_AT ? BLOCK : 2 * BLOCK;

    for (size_t i = 0; i + BLOCK <= len; i += BLOCK)
        add_block(state, p + i);
    if (left)
        memcpy(tail, p + (len - left), left);
    tail[left] = 0x80;
    memcpy(tail + tail_len - sizeof(bits), &bits, sizeof(bits));
    for (size_t i = 0; i < tail_len; i += BLOCK)
        add_block(state, tail + i);
    for (int i = 0; i < 4; i++)
        state[i] = htole32(state[i]);
    memcpy(out, state, HOT_MD5_LEN);
    explicit_bzero(tail, sizeof(tail)); /* it may hold a cookie */
}
