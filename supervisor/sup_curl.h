/* SPDX-License-Identifier: Apache-2.0 */
/* libcurl, loaded when it is needed: it brings thirty libraries with it, which would double the
 * memory of a supervisor that mostly never fetches anything. The only header that shows curl.h. Any
 * thread. */
#ifndef SUP_CURL_H
#define SUP_CURL_H

#define CURL_DISABLE_TYPECHECK /* its macros name the function, which is not linked */
#include <curl/curl.h>

#include "base/rel_err.h"

/* XX(name in libcurl) */
#define SUP_CURL_MAP(XX)    \
    XX(curl_easy_init)      \
    XX(curl_easy_cleanup)   \
    XX(curl_easy_setopt)    \
    XX(curl_easy_getinfo)   \
    XX(curl_easy_perform)   \
    XX(curl_easy_strerror)  \
    XX(curl_slist_append)   \
    XX(curl_slist_free_all) \
    XX(curl_url)            \
    XX(curl_url_cleanup)    \
    XX(curl_url_dup)        \
    XX(curl_url_get)        \
    XX(curl_url_set)        \
    XX(curl_free)

#undef curl_easy_setopt
#undef curl_easy_getinfo
struct sup_curl {
#define XX(name) __typeof__(name) *name;
    SUP_CURL_MAP(XX)
#undef XX
};

/* Fills *c; it stays loaded. REL_E_IO: it is not installed, or too old. */
REL_MUST_USE int sup_curl_load(struct sup_curl *c, struct rel_err *e);

#endif
