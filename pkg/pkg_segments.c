/* SPDX-License-Identifier: Apache-2.0 */
#include "pkg/pkg_segments.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <zlib.h>

#include "base/rel_io.h"
#include "pkg/pkg_cache.h"
#include "pkg/pkg_codec.h"
#include "pkg/pkg_parallel.h"

enum { CUT_MIN = 256 << 10, THREADS_MAX = 32, RING = 2 * THREADS_MAX };

enum stage { FREE, FILLED, TAKEN, PACKED };

struct segment {
    enum stage stage;
    struct rel_buf raw, packed;
    uint32_t crc; /* of raw */
};

/* The ring: [tail, next) is with the threads or packed, [next, head) waits for one. The segment at
 * head is being filled and belongs to the caller's thread alone. */
struct pkg_segments {
    int fd;
    const struct pkg_codec *codec;
    struct pkg_cache *cache;
    struct pkg_digest digest; /* of what is written, but for the digest itself */
    uint32_t crc;
    uint64_t bytes; /* both of the whole stream */
    struct segment ring[RING];
    size_t ring_n, head, next, tail;
    bool ending;
    pthread_mutex_t lock;
    pthread_cond_t filled, packed;
    pthread_t threads[THREADS_MAX];
    unsigned thread_n;
};

/* A result in the cache: the checksum of the segment, then its compressed form. */
static void pack(struct pkg_segments *s, struct pkg_packer *packer, struct segment *seg)
{
    unsigned char key[PKG_SHA256_LEN];
    rel_autobuf struct rel_buf result = {0};
    pkg_autodigest struct pkg_digest d;

    pkg_digest_init(&d);
    pkg_digest_add(&d, s->codec->id, strlen(s->codec->id) + 1);
    pkg_digest_add(&d, seg->raw.p, seg->raw.len);
    pkg_digest_take(&d, key);
    if (!pkg_cache_get(s->cache, key, &result)) {
        seg->crc = (uint32_t)crc32_z(0, (const Bytef *)seg->raw.p, seg->raw.len);
        rel_buf_add(&result, &seg->crc, sizeof(seg->crc));
        s->codec->pack(packer, seg->raw.p, seg->raw.len, &result);
        pkg_cache_put(s->cache, key, result.p, result.len);
    }
    memcpy(&seg->crc, result.p, sizeof(seg->crc));
    seg->packed.len = 0;
    rel_buf_add(&seg->packed, result.p + sizeof(seg->crc), result.len - sizeof(seg->crc));
}

static void *work(void *arg)
{
    struct pkg_segments *s = arg;
    struct pkg_packer *packer = s->codec->packer_new();

    pthread_mutex_lock(&s->lock);
    for (;;) {
        struct segment *seg = &s->ring[s->next % s->ring_n];

        if (s->next == s->head) {
            if (s->ending)
                break;
            pthread_cond_wait(&s->filled, &s->lock);
            continue;
        }
        s->next++;
        seg->stage = TAKEN;
        pthread_mutex_unlock(&s->lock);
        pack(s, packer, seg);
        pthread_mutex_lock(&s->lock);
        seg->stage = PACKED;
        pthread_cond_signal(&s->packed);
    }
    pthread_mutex_unlock(&s->lock);
    s->codec->packer_free(packer);
    return NULL;
}

static int put(struct pkg_segments *s, const void *p, size_t n, struct rel_err *e)
{
    pkg_digest_add(&s->digest, p, n);
    return rel_write_all(s->fd, p, n, e);
}

/* Writes the oldest segment, when it is packed; waits for that. */
static int write_oldest(struct pkg_segments *s, struct rel_err *e)
{
    struct segment *seg = &s->ring[s->tail % s->ring_n];

    pthread_mutex_lock(&s->lock);
    while (seg->stage != PACKED)
        pthread_cond_wait(&s->packed, &s->lock);
    seg->stage = FREE;
    pthread_mutex_unlock(&s->lock);
    s->crc = (uint32_t)crc32_combine(s->crc, seg->crc, (z_off_t)seg->raw.len);
    s->bytes += seg->raw.len;
    seg->raw.len = 0;
    s->tail++;
    return put(s, seg->packed.p, seg->packed.len, e);
}

/* The segment that was filled goes to the threads, and the next place in the ring is made free. */
static int hand_over(struct pkg_segments *s, struct rel_err *e)
{
    pthread_mutex_lock(&s->lock);
    s->ring[s->head % s->ring_n].stage = FILLED;
    s->head++;
    pthread_cond_signal(&s->filled);
    pthread_mutex_unlock(&s->lock);
    return s->head - s->tail == s->ring_n ? write_oldest(s, e) : 0;
}

int pkg_segments_begin(int fd, enum pkg_format format, struct pkg_segments **s, struct rel_err *e)
{
    pkg_autosegments struct pkg_segments *made = rel_xcalloc(1, sizeof(*made));
    rel_autobuf struct rel_buf head = {0};
    unsigned wanted = pkg_cores();

    made->fd = fd;
    made->codec = pkg_codec_of(format);
    made->cache = pkg_cache_open();
    if (wanted > made->codec->threads_max)
        wanted = made->codec->threads_max;
    made->ring_n = 2 * (size_t)wanted;
    pkg_digest_init(&made->digest);
    pthread_mutex_init(&made->lock, NULL);
    pthread_cond_init(&made->filled, NULL);
    pthread_cond_init(&made->packed, NULL);
    while (made->thread_n < wanted &&
           pthread_create(&made->threads[made->thread_n], NULL, work, made) == 0)
        made->thread_n++;
    if (made->thread_n == 0)
        return rel_fail(e, REL_E_IO, EAGAIN, "start a thread");
    made->codec->head(&head);
    if (put(made, head.p, head.len, e) < 0)
        return -1;
    if (made->codec->digest_in_head &&
        rel_write_all(fd, (const char[PKG_SHA256_LEN]){0}, PKG_SHA256_LEN, e) < 0)
        return -1;
    *s = rel_steal(&made);
    return 0;
}

int pkg_segments_write(struct pkg_segments *s, const void *p, size_t n, struct rel_err *e)
{
    const char *from = p;

    while (n) {
        struct rel_buf *raw = &s->ring[s->head % s->ring_n].raw;
        size_t room = s->codec->segment_len - raw->len, part = n < room ? n : room;

        rel_buf_add(raw, from, part);
        from += part;
        n -= part;
        if (raw->len == s->codec->segment_len && hand_over(s, e) < 0)
            return -1;
    }
    return 0;
}

int pkg_segments_cut(struct pkg_segments *s, struct rel_err *e)
{
    return s->ring[s->head % s->ring_n].raw.len >= CUT_MIN ? hand_over(s, e) : 0;
}

static int write_digest(struct pkg_segments *s, struct rel_err *e)
{
    unsigned char sha256[PKG_SHA256_LEN];

    pkg_digest_take(&s->digest, sha256);
    if (!s->codec->digest_in_head)
        return rel_write_all(s->fd, sha256, sizeof(sha256), e);
    if (pwrite(s->fd, sha256, sizeof(sha256), PKG_GZIP_DIGEST_AT) != sizeof(sha256))
        return rel_fail(e, REL_E_IO, errno, "write the digest of the archive");
    return 0;
}

int pkg_segments_end(struct pkg_segments *s, struct rel_err *e)
{
    rel_autobuf struct rel_buf tail = {0};

    if (s->ring[s->head % s->ring_n].raw.len && hand_over(s, e) < 0)
        return -1;
    while (s->tail != s->head)
        if (write_oldest(s, e) < 0)
            return -1;
    s->codec->tail(s->crc, s->bytes, &tail);
    return put(s, tail.p, tail.len, e) < 0 ? -1 : write_digest(s, e);
}

void pkg_segments_free(struct pkg_segments **sp)
{
    struct pkg_segments *s = *sp;

    if (!s)
        return;
    pthread_mutex_lock(&s->lock);
    s->ending = true;
    s->next = s->head; /* after a failure: what waits is of no use any more */
    pthread_cond_broadcast(&s->filled);
    pthread_mutex_unlock(&s->lock);
    for (unsigned i = 0; i < s->thread_n; i++)
        pthread_join(s->threads[i], NULL);
    for (size_t i = 0; i < s->ring_n; i++) {
        rel_buf_fini(&s->ring[i].raw);
        rel_buf_fini(&s->ring[i].packed);
    }
    pthread_mutex_destroy(&s->lock);
    pthread_cond_destroy(&s->filled);
    pthread_cond_destroy(&s->packed);
    pkg_digest_fini(&s->digest);
    pkg_cache_close(s->cache);
    free(s);
    *sp = NULL;
}
