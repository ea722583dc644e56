/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants the four above first */
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "base/rel_own.h"
#include "hotload/hot_md5.h"

static void expect(const char *text, const char *want)
{
    unsigned char digest[HOT_MD5_LEN];
    char hex[2 * HOT_MD5_LEN + 1];

    hot_md5(text, strlen(text), digest);
    for (int i = 0; i < HOT_MD5_LEN; i++)
        snprintf(hex + 2 * i, 3, "%02x", digest[i]);
    assert_string_equal(hex, want);
}

/* RFC 1321, A.5 */
static void is_that_of_the_standard(void **state)
{
    (void)state;
    expect("", "d41d8cd98f00b204e9800998ecf8427e");
    expect("a", "0cc175b9c0f1b6a831c399e269772661");
    expect("abc", "900150983cd24fb0d6963f7d28e17f72");
    expect("message digest", "f96b697d7cb7938d525a2f31aaf161d0");
    expect("abcdefghijklmnopqrstuvwxyz", "c3fcd3d76192e4007dfb496cca67e13b");
    expect("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789",
           "d174ab98d277d9f5a5611c2c9f419d9f");
    expect("1234567890123456789012345678901234567890"
           "1234567890123456789012345678901234567890",
           "57edf4a22be3c955ac49da2e2107b67a");
}

/* Around the ends of blocks: the digest of all of those digests, as coreutils make it. */
static void every_length_is_padded_right(void **state)
{
    enum { MOST = 200 };
    unsigned char all[(MOST + 1) * HOT_MD5_LEN], digest[HOT_MD5_LEN];
    rel_autofree char *text = rel_xcalloc(MOST, 1);
    char hex[2 * HOT_MD5_LEN + 1];

    (void)state;
    memset(text, 'x', MOST);
    for (size_t n = 0; n <= MOST; n++)
        hot_md5(text, n, all + n * HOT_MD5_LEN);
    hot_md5(all, sizeof(all), digest);
    for (int i = 0; i < HOT_MD5_LEN; i++)
        snprintf(hex + 2 * i, 3, "%02x", digest[i]);
    assert_string_equal(hex, "85a5e659ef84b20587f1e9a409ab70c7");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(is_that_of_the_standard),
        cmocka_unit_test(every_length_is_padded_right),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
