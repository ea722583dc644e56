/* SPDX-License-Identifier: Apache-2.0 */
#include "base/rel_out.h"

#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>

#include "base/rel_clock.h"

#define GREEN  "\033[32m"
#define RED    "\033[31m"
#define YELLOW "\033[33m"
#define DIM    "\033[2m"
#define RESET  "\033[0m"
#define ERASE  "\r\033[K"

enum {
    STEP_COLUMNS = 19, /* in front of the detail */
    REDRAW_MS = 50,    /* nobody reads faster */
};

/* The code point at `s` and its length, 0 for what is no UTF-8 (RFC 3629). */
static size_t decode(const unsigned char *s, uint32_t *code)
{
    static const uint32_t lowest[] = {0, 0, 0x80, 0x800, 0x10000};
    size_t n = s[0] < 0x80 ? 1 : s[0] < 0xc0 ? 0 : s[0] < 0xe0 ? 2 : s[0] < 0xf0 ? 3 : 4;
    uint32_t c = n == 1 ? s[0] : s[0] & (0xffU >> (n + 1));

    for (size_t i = 1; i < n; i++) {
        if ((s[i] & 0xc0) != 0x80)
            return 0;
        c = c << 6 | (s[i] & 0x3f);
    }
    if (!n || s[0] > 0xf4 || c < lowest[n] || c > 0x10ffff || (c >= 0xd800 && c < 0xe000))
        return 0;
    *code = c;
    return n;
}

/* Controls of both sets, line and paragraph separators, and what turns the direction of writing. */
static bool is_harmless(uint32_t c)
{
    return c >= 0x20 && (c < 0x7f || c >= 0xa0) && (c < 0x2028 || c > 0x202e) &&
           (c < 0x2066 || c > 0x2069);
}

/* One character, or one byte of what is none; what may stand as it is does. */
static size_t escape_one(struct rel_buf *b, const char *text)
{
    uint32_t code = 0;
    size_t n = decode((const unsigned char *)text, &code);

    if (n && is_harmless(code))
        rel_buf_add(b, text, n);
    else
        for (size_t i = 0; i < (n ? n : 1); i++)
            rel_buf_addf(b, "\\x%02x", (unsigned char)text[i]);
    return n ? n : 1;
}

char *rel_escape(const char *text)
{
    rel_autobuf struct rel_buf b = {0};

    while (*text) {
        if (*text == '\n' || *text == '\t')
            rel_buf_adds(&b, *text++ == '\n' ? "\\n" : "    ");
        else
            text += escape_one(&b, text);
    }
    return rel_buf_take(&b);
}

/* "\033[1;31m" and the like (ECMA-48, SGR), the only sequence that does nothing but colour. */
static size_t colour_at(const char *text, const char *end)
{
    size_t n;

    if (end - text < 3 || text[0] != '\033' || text[1] != '[')
        return 0;
    n = 2 + strspn(text + 2, "0123456789;:");
    return text + n < end && text[n] == 'm' ? n + 1 : 0;
}

char *rel_escape_log(const char *line, size_t len)
{
    rel_autobuf struct rel_buf b = {0};
    const char *end = line + len;

    while (line < end) {
        size_t n = colour_at(line, end);

        if (!n && *line == '\t')
            n = 1;
        if (n)
            rel_buf_add(&b, line, n);
        else
            n = escape_one(&b, line);
        line += n;
    }
    return rel_buf_take(&b);
}

static const char *paint(const struct rel_out *out, const char *colour)
{
    return out->colour ? colour : "";
}

void rel_out_init(struct rel_out *out, FILE *result, FILE *notes, bool json, bool quiet)
{
    const char *term = getenv("TERM"), *no_colour = getenv("NO_COLOR");
    bool tty = isatty(fileno(notes)) && term && strcmp(term, "dumb") != 0;

    *out = (struct rel_out){.result = result, .notes = notes, .quiet = quiet};
    if (json)
        out->face = REL_FACE_JSON;
    else
        out->face = tty ? REL_FACE_TERMINAL : REL_FACE_PLAIN;
    out->colour = out->face == REL_FACE_TERMINAL && !(no_colour && *no_colour);
}

/* Writes one object as one line. Takes the reference. */
static void note_json(struct rel_out *out, json_t *object)
{
    rel_autofree char *line = json_dumps(object, JSON_SORT_KEYS | JSON_COMPACT);

    json_decref(object);
    if (line)
        fprintf(out->notes, "%s\n", line);
    fflush(out->notes);
}

json_t *rel_json_text(const char *s)
{
    json_t *v = json_string(s);
    rel_autofree char *escaped = v ? NULL : rel_escape(s);

    return v ? v : json_string(escaped);
}

static void note_progress(struct rel_out *out, const char *step, const char *state,
                          const char *detail, json_t *extra)
{
    json_t *o = json_object();

    json_object_set_new(o, "type", json_string("progress"));
    json_object_set_new(o, "step", rel_json_text(step));
    json_object_set_new(o, "state", json_string(state));
    if (detail)
        json_object_set_new(o, "detail", rel_json_text(detail));
    if (extra) {
        json_object_update(o, extra);
        json_decref(extra);
    }
    note_json(out, o);
}

void rel_out_step(struct rel_out *out, const char *step, const char *detail)
{
    rel_out_step_end(out, true, NULL);
    snprintf(out->step, sizeof(out->step), "%s", step);
    out->step_began_ms = rel_mono_ms();
    out->detail[0] = '\0';
    out->drawn_ms = 0;
    if (out->face == REL_FACE_JSON && !out->quiet)
        note_progress(out, step, "running", detail, NULL);
    else
        rel_out_step_news(out, detail ? detail : "", 0, 0);
}

static size_t columns_of(const struct rel_out *out)
{
    struct winsize size;

    return ioctl(fileno(out->notes), TIOCGWINSZ, &size) == 0 && size.ws_col ? size.ws_col : 80;
}

/* Bytes of the first `columns` characters. */
static size_t cut(const char *s, size_t columns)
{
    size_t n = 0;

    for (; s[n]; n++)
        if (((unsigned char)s[n] & 0xc0) != 0x80 && columns-- == 0)
            break;
    return n;
}

/* One line: a longer one could not be erased. What moves stands in front, where it stays. */
static void draw(struct rel_out *out, uint64_t done, uint64_t total)
{
    int64_t took_s = (rel_mono_ms() - out->step_began_ms) / 1000;
    rel_autofree char *detail = rel_escape(out->detail);
    size_t columns = columns_of(out), used;
    char head[64] = "";

    /* 100 % is said by the line that ends the step */
    if (total && done < total)
        snprintf(head, sizeof(head), "%3u %%  ", (unsigned)(done * 100 / total));
    if (took_s)
        snprintf(head + strlen(head), sizeof(head) - strlen(head), "%lld s  ", (long long)took_s);
    used = STEP_COLUMNS + strlen(head) + 1;
    fprintf(out->notes, ERASE "%s  ..  %s%-12s %s%.*s", paint(out, DIM), paint(out, RESET),
            out->step, head, (int)(columns > used ? cut(detail, columns - used) : 0), detail);
    fflush(out->notes);
    out->drawn_ms = rel_mono_ms();
}

void rel_out_step_news(struct rel_out *out, const char *detail, uint64_t done, uint64_t total)
{
    if (out->quiet || !out->step[0])
        return;
    if (out->face == REL_FACE_JSON && detail) {
        json_t *extra = json_object();

        if (total) {
            json_object_set_new(extra, "done", json_integer((json_int_t)done));
            json_object_set_new(extra, "total", json_integer((json_int_t)total));
        }
        note_progress(out, out->step, "running", detail, extra);
    } else if (out->face == REL_FACE_TERMINAL) {
        if (detail)
            snprintf(out->detail, sizeof(out->detail), "%s", detail);
        /* What comes in parts comes again soon; other news may be the last for long. */
        if (!total || rel_mono_ms() - out->drawn_ms >= REDRAW_MS)
            draw(out, done, total);
    }
}

void rel_out_step_line(struct rel_out *out, const char *step, const char *detail, bool ok,
                       int64_t took_ms)
{
    rel_autofree char *shown = rel_escape(detail ? detail : "");

    if (out->quiet || (out->silent_steps && out->face == REL_FACE_PLAIN))
        return;
    if (out->face == REL_FACE_JSON) {
        note_progress(out, step, ok ? "done" : "failed", detail,
                      json_pack("{s:I}", "took_ms", (json_int_t)took_ms));
        return;
    }
    fprintf(out->notes, "%s%s%s%s %-12s %s%s%lld ms\n", out->face == REL_FACE_TERMINAL ? ERASE : "",
            paint(out, ok ? GREEN : RED), ok ? "  ok " : "fail ", paint(out, RESET), step, shown,
            *shown ? "  " : "", (long long)took_ms);
    fflush(out->notes);
}

void rel_out_step_end(struct rel_out *out, bool ok, const char *detail)
{
    char step[sizeof(out->step)];

    if (!out->step[0])
        return;
    memcpy(step, out->step, sizeof(step));
    out->step[0] = '\0';
    rel_out_step_line(out, step, detail, ok, rel_mono_ms() - out->step_began_ms);
}

static void note_log(struct rel_out *out, const char *level, const char *colour, const char *text)
{
    rel_autofree char *shown = rel_escape(text);

    if (out->face == REL_FACE_JSON) {
        json_t *o = json_pack("{s:s, s:s}", "type", "log", "level", level);

        json_object_set_new(o, "message", rel_json_text(text));
        note_json(out, o);
        return;
    }
    if (out->face == REL_FACE_TERMINAL)
        fputs(ERASE, out->notes);
    fprintf(out->notes, "%s%s%s%s\n", paint(out, colour), *colour ? "warning: " : "",
            paint(out, RESET), shown);
    fflush(out->notes);
}

void rel_out_log(struct rel_out *out, const char *fmt, ...)
{
    rel_autofree char *text = NULL;
    va_list ap;

    if (out->quiet)
        return;
    va_start(ap, fmt);
    text = rel_vstrf(fmt, ap);
    va_end(ap);
    note_log(out, "info", "", text);
}

void rel_out_warn(struct rel_out *out, const char *fmt, ...)
{
    rel_autofree char *text = NULL;
    va_list ap;

    if (out->quiet)
        return;
    va_start(ap, fmt);
    text = rel_vstrf(fmt, ap);
    va_end(ap);
    note_log(out, "warning", YELLOW, text);
}

void rel_out_error(struct rel_out *out, const char *prog, const struct rel_err *err)
{
    rel_autofree char *shown = rel_escape(err->msg);

    rel_out_step_end(out, false, NULL);
    if (out->face == REL_FACE_JSON) {
        json_t *o = json_pack("{s:s, s:s, s:i}", "type", "error", "code", rel_code_name(err->code),
                              "exit", (int)rel_code_outcome(err->code));

        json_object_set_new(o, "message", rel_json_text(err->msg));
        note_json(out, o);
        return;
    }
    fprintf(out->notes, "%s%s: %s%s\n", paint(out, RED), prog, paint(out, RESET), shown);
    fflush(out->notes);
}

int rel_out_result(struct rel_out *out, const json_t *json, const char *text, struct rel_err *e)
{
    rel_out_step_end(out, true, NULL);
    if (out->face == REL_FACE_JSON) {
        rel_autofree char *line = json_dumps(json, JSON_SORT_KEYS | JSON_COMPACT);

        if (!line)
            return rel_fail(e, REL_E_INTERNAL, 0, "the result is no JSON value");
        fprintf(out->result, "%s\n", line);
    } else if (text) {
        fputs(text, out->result);
    }
    if (fflush(out->result) == EOF || ferror(out->result))
        return rel_fail(e, REL_E_IO, errno, "write the result");
    return 0;
}

static void on_step(void *ctx, const char *step, const char *detail)
{
    rel_out_step(ctx, step, detail);
}

static void on_news(void *ctx, const char *detail, uint64_t done, uint64_t total)
{
    rel_out_step_news(ctx, detail, done, total);
}

static void on_end(void *ctx, const char *detail)
{
    rel_out_step_end(ctx, true, detail);
}

static void on_warn(void *ctx, const char *text)
{
    rel_out_warn(ctx, "%s", text);
}

struct rel_progress rel_out_progress(struct rel_out *out)
{
    return (struct rel_progress){
        .step = on_step, .news = on_news, .end = on_end, .warn = on_warn, .ctx = out};
}

void rel_progress_step(const struct rel_progress *p, const char *step, const char *detail)
{
    if (p && p->step)
        p->step(p->ctx, step, detail);
}

void rel_progress_news(const struct rel_progress *p, const char *detail, uint64_t done,
                       uint64_t total)
{
    if (p && p->news)
        p->news(p->ctx, detail, done, total);
}

void rel_progress_end(const struct rel_progress *p, const char *fmt, ...)
{
    rel_autofree char *detail = NULL;
    va_list ap;

    if (!p || !p->end)
        return;
    va_start(ap, fmt);
    detail = rel_vstrf(fmt, ap);
    va_end(ap);
    p->end(p->ctx, detail);
}

int rel_progress_check(const struct rel_progress *p, struct rel_err *e)
{
    if (p && p->stopped && p->stopped(p->ctx))
        return rel_fail(e, REL_E_INTERRUPTED, 0, "interrupted");
    return 0;
}

void rel_progress_warn(const struct rel_progress *p, const char *fmt, ...)
{
    rel_autofree char *text = NULL;
    va_list ap;

    if (!p || !p->warn)
        return;
    va_start(ap, fmt);
    text = rel_vstrf(fmt, ap);
    va_end(ap);
    p->warn(p->ctx, text);
}
