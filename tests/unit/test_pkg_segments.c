/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <zlib.h>
#include <zstd.h>

#include "base/rel_io.h"
#include "pkg/pkg_cache.h"
#include "pkg/pkg_parallel.h"
#include "pkg/pkg_segments.h"

enum { STREAM = 9 << 20 };

struct fixture {
    char cache[40];
    char *stream; /* half noise, half text: both stored and compressed blocks come of it */
};

static int set_up(void **state)
{
    struct fixture *f = rel_xcalloc(1, sizeof(*f));
    uint32_t x = 1;

    snprintf(f->cache, sizeof(f->cache), "/tmp/test_pkg_segments.XXXXXX");
    if (!mkdtemp(f->cache) || setenv("RELPACK_CACHE", f->cache, 1) < 0)
        return -1;
    f->stream = rel_xmalloc(STREAM);
    for (size_t i = 0; i < STREAM; i++) {
        x = x * 1664525 + 1013904223;
        f->stream[i] = (i >> 16) % 2 ? (char)(x >> 24) : "the text of a module "[i % 21];
    }
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    struct rel_err e = {0};
    int status = rel_remove_tree(AT_FDCWD, f->cache, &e);

    free(f->stream);
    free(f);
    return status;
}

/* What becomes of the first `n` bytes, written in pieces of 70,000 with a place to cut in between.
 */
static struct rel_buf packed(const struct fixture *f, enum pkg_format format, size_t n)
{
    rel_autoclose int fd = memfd_create("packed", MFD_CLOEXEC);
    rel_autofree char *path = rel_strf("/proc/self/fd/%d", fd);
    pkg_autosegments struct pkg_segments *s = NULL;
    struct rel_err e = {0};
    struct rel_buf out = {0};
    char *data;
    size_t len;

    assert_int_equal(pkg_segments_begin(fd, format, &s, &e), 0);
    for (size_t at = 0; at < n; at += 70000) {
        assert_int_equal(pkg_segments_write(s, f->stream + at, n - at < 70000 ? n - at : 70000, &e),
                         0);
        assert_int_equal(pkg_segments_cut(s, &e), 0);
    }
    assert_int_equal(pkg_segments_end(s, &e), 0);
    assert_int_equal(rel_read_file(AT_FDCWD, path, 64 << 20, &data, &len, &e), 0);
    rel_buf_add(&out, data, len);
    free(data);
    return out;
}

/* As zlib reads it: header, one member, checksum and length, and nothing behind it. */
static void assert_gunzips(const struct rel_buf *gz, const char *want, size_t n)
{
    rel_autofree char *got = rel_xmalloc(n + 1);
    z_stream z = {.next_in = (Bytef *)gz->p,
                  .avail_in = (uInt)gz->len,
                  .next_out = (Bytef *)got,
                  .avail_out = (uInt)n + 1};

    assert_int_equal(inflateInit2(&z, 16 + MAX_WBITS), Z_OK);
    assert_int_equal(inflate(&z, Z_FINISH), Z_STREAM_END);
    assert_int_equal(z.avail_in, 0);
    assert_int_equal(z.total_out, n);
    assert_memory_equal(got, want, n);
    inflateEnd(&z);
}

static void one_gzip_member_of_any_length(void **state)
{
    static const size_t lengths[] = {0, 1, 2, 300, 1 << 20, (1 << 20) + 1, STREAM};

    for (size_t i = 0; i < sizeof(lengths) / sizeof(*lengths); i++) {
        rel_autobuf struct rel_buf gz = packed(*state, PKG_FORMAT_GZ, lengths[i]);

        assert_gunzips(&gz, ((struct fixture *)*state)->stream, lengths[i]);
    }
}

static void many_short_streams_end_anywhere_in_a_byte(void **state)
{
    struct fixture *f = *state;

    /* The places of the last block's mark and of the last bit differ from length to length. */
    for (size_t n = 60000; n < 60200; n++) {
        rel_autobuf struct rel_buf gz = packed(f, PKG_FORMAT_GZ, n);

        assert_gunzips(&gz, f->stream, n);
    }
}

static void zstd_frames_with_a_frame_to_skip(void **state)
{
    struct fixture *f = *state;
    rel_autobuf struct rel_buf zst = packed(f, PKG_FORMAT_ZST, STREAM);
    rel_autofree char *got = rel_xmalloc(STREAM);

    assert_int_equal(ZSTD_decompress(got, STREAM, zst.p, zst.len), STREAM);
    assert_memory_equal(got, f->stream, STREAM);
}

static void same_bytes_on_one_core_and_without_a_cache(void **state)
{
    struct fixture *f = *state;
    rel_autobuf struct rel_buf first = packed(f, PKG_FORMAT_GZ, STREAM), one = {0}, off = {0};
    cpu_set_t all, single;

    assert_int_equal(sched_getaffinity(0, sizeof(all), &all), 0);
    CPU_ZERO(&single);
    for (int i = 0; i < CPU_SETSIZE && !CPU_COUNT(&single); i++)
        if (CPU_ISSET(i, &all))
            CPU_SET(i, &single);
    assert_int_equal(sched_setaffinity(0, sizeof(single), &single), 0);
    assert_int_equal(pkg_cores(), 1);
    one = packed(f, PKG_FORMAT_GZ, STREAM);
    assert_int_equal(sched_setaffinity(0, sizeof(all), &all), 0);
    setenv("RELPACK_CACHE", "off", 1);
    off = packed(f, PKG_FORMAT_GZ, STREAM);
    setenv("RELPACK_CACHE", f->cache, 1);
    assert_int_equal(first.len, one.len);
    assert_int_equal(first.len, off.len);
    assert_memory_equal(first.p, one.p, one.len);
    assert_memory_equal(first.p, off.p, off.len);
}

static void damaged_result_is_made_anew(void **state)
{
    struct fixture *f = *state;
    rel_autobuf struct rel_buf first = packed(f, PKG_FORMAT_GZ, STREAM), again = {0};
    rel_autoclosedir DIR *d = opendir(f->cache);
    struct dirent *entry;
    size_t n = 0;

    assert_non_null(d);
    while ((entry = readdir(d))) {
        rel_autoclose int fd = openat(dirfd(d), entry->d_name, O_WRONLY);

        n += fd >= 0;
        assert_true(fd < 0 || pwrite(fd, "damaged", 7, 100) == 7);
    }
    assert_true(n > 0);
    again = packed(f, PKG_FORMAT_GZ, STREAM);
    assert_int_equal(first.len, again.len);
    assert_memory_equal(first.p, again.p, first.len);
}

static void cache_that_others_may_write_to_is_not_used(void **state)
{
    struct fixture *f = *state;
    struct pkg_cache *c = pkg_cache_open();

    assert_non_null(c);
    pkg_cache_close(c);
    assert_int_equal(chmod(f->cache, 0777), 0);
    assert_null(pkg_cache_open());
    assert_int_equal(chmod(f->cache, 0700), 0);
    setenv("RELPACK_CACHE", "/dev/null/cache", 1);
    assert_null(pkg_cache_open());
    setenv("RELPACK_CACHE", f->cache, 1);
}

/* Each of the bytes changed alone, with `step` in between. */
static void check_flips(struct fixture *f, enum pkg_format format, size_t step)
{
    rel_autobuf struct rel_buf made = packed(f, format, 700000);
    rel_autoclose int fd = memfd_create("flipped", MFD_CLOEXEC);
    rel_autofree char *path = rel_strf("/proc/self/fd/%d", fd);
    struct rel_err e = {0};
    bool present = false;

    assert_int_equal(rel_write_all(fd, made.p, made.len, &e), 0);
    assert_int_equal(pkg_archive_check_digest(path, &present, &e), 0);
    assert_true(present);
    for (size_t at = 0; at < made.len; at += at < 64 || made.len - at < 64 ? 1 : step) {
        char flipped = (char)(made.p[at] ^ (at % 3 ? 0x01 : 0xff));

        /* without these it is no gzip or zstd file at all */
        if (format == PKG_FORMAT_GZ && at < 2)
            continue;
        assert_int_equal(pwrite(fd, &flipped, 1, (off_t)at), 1);
        rel_err_clear(&e);
        assert_int_equal(pkg_archive_check_digest(path, &present, &e), -1);
        assert_int_equal(e.code, REL_E_INPUT);
        assert_int_equal(pwrite(fd, made.p + at, 1, (off_t)at), 1);
    }
}

static void every_changed_byte_is_found(void **state)
{
    check_flips(*state, PKG_FORMAT_GZ, 9973);
    check_flips(*state, PKG_FORMAT_ZST, 9973);
}

static void full_disk_is_told(void **state)
{
    struct fixture *f = *state;
    rel_autoclose int fd = open("/dev/full", O_WRONLY | O_CLOEXEC);
    pkg_autosegments struct pkg_segments *s = NULL;
    struct rel_err e = {0};

    if (pkg_segments_begin(fd, PKG_FORMAT_GZ, &s, &e) == 0 &&
        pkg_segments_write(s, f->stream, STREAM, &e) == 0)
        assert_int_equal(pkg_segments_end(s, &e), -1);
    assert_int_equal(e.code, REL_E_DISK_FULL);
}

static int fail_from(void *ctx, size_t i, struct rel_err *e)
{
    return i >= *(size_t *)ctx ? rel_fail(e, REL_E_INPUT, 0, "number %zu", i) : 0;
}

static void first_failure_is_told(void **state)
{
    size_t from = 37;
    struct rel_err e = {0};

    (void)state;
    assert_int_equal(pkg_parallel(1000, fail_from, &from, &e), -1);
    assert_string_equal(e.msg, "number 37");
    rel_err_clear(&e);
    from = 1000;
    assert_int_equal(pkg_parallel(1000, fail_from, &from, &e), 0);
    assert_int_equal(pkg_parallel(0, fail_from, &from, &e), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_gzip_member_of_any_length),
        cmocka_unit_test(many_short_streams_end_anywhere_in_a_byte),
        cmocka_unit_test(zstd_frames_with_a_frame_to_skip),
        cmocka_unit_test(same_bytes_on_one_core_and_without_a_cache),
        cmocka_unit_test(damaged_result_is_made_anew),
        cmocka_unit_test(cache_that_others_may_write_to_is_not_used),
        cmocka_unit_test(every_changed_byte_is_found),
        cmocka_unit_test(full_disk_is_told),
        cmocka_unit_test(first_failure_is_told),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
