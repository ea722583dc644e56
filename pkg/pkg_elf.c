/* SPDX-License-Identifier: Apache-2.0 */
#include "pkg/pkg_elf.h"

#include <gelf.h>
#include <limits.h>
#include <string.h>

/* What a file may ask for at most: far beyond any real one. */
enum {
    NEEDED_MAX = 1024,
    NAME_MAX_LEN = 4096,
    SECTIONS_MAX = 65536,
    HEADERS_MAX = 1024,
    TAGS_MAX = 65536,    /* in the dynamic section */
    VERSIONS_MAX = 65536 /* asked for, of all libraries together */
};

bool pkg_elf_is(const void *data, size_t len)
{
    return len >= SELFMAG && !memcmp(data, ELFMAG, SELFMAG);
}

static int broken(const char *name, const char *what, struct rel_err *e)
{
    return rel_fail(e, REL_E_INPUT, 0, "%s: not a whole ELF file: %s", name, what);
}

static void end_p(Elf **elf)
{
    elf_end(*elf);
}
#define autoelf __attribute__((cleanup(end_p)))

/* A table of strings: a section's, or where `p` is set these bytes. */
struct names {
    Elf *elf;
    size_t section;
    const char *p;
    size_t n;
};

static const char *name_at(const struct names *names, size_t at)
{
    if (!names->p)
        return elf_strptr(names->elf, names->section, at);
    return at < names->n && memchr(names->p + at, 0, names->n - at) ? names->p + at : NULL;
}

/* A string of a string table, or NULL; copied. */
static char *dup_name(const struct names *names, size_t at)
{
    const char *s = name_at(names, at);

    return s && *s && strnlen(s, NAME_MAX_LEN) < NAME_MAX_LEN ? rel_xstrdup(s) : NULL;
}

static void set(char **field, char *value)
{
    if (!value)
        return;
    free(*field);
    *field = value;
}

static int read_dynamic(Elf_Data *data, const struct names *names, struct pkg_elf *out)
{
    GElf_Dyn dyn;
    bool runpath = false;

    for (int i = 0; i < TAGS_MAX && data && gelf_getdyn(data, i, &dyn); i++) {
        if (dyn.d_tag == DT_NULL)
            break;
        if (dyn.d_tag == DT_SONAME)
            set(&out->soname, dup_name(names, dyn.d_un.d_val));
        if (dyn.d_tag == DT_RUNPATH || (dyn.d_tag == DT_RPATH && !runpath))
            set(&out->runpath, dup_name(names, dyn.d_un.d_val));
        runpath |= dyn.d_tag == DT_RUNPATH;
        if (dyn.d_tag == DT_NEEDED) {
            char *name = dup_name(names, dyn.d_un.d_val);

            if (!name || out->needed_n == NEEDED_MAX) {
                free(name);
                return -1;
            }
            out->needed = rel_xrealloc(out->needed, out->needed_n + 1, sizeof(*out->needed));
            out->needed[out->needed_n++] = name;
        }
    }
    return 0;
}

/* "2.9" before "2.36". */
static bool is_newer(const char *a, const char *b)
{
    return !b || strverscmp(a, b) > 0;
}

/* The C library's version that a name of one asks for, or NULL. Packed relative relocations are
 * loaded since 2.36, which has a name of its own for that (glibc's sysdeps/generic/Versions). */
static const char *glibc_of(const char *version)
{
    if (!strcmp(version, "GLIBC_ABI_DT_RELR"))
        return "2.36";
    return !strncmp(version, "GLIBC_2", 7) && strnlen(version, 32) < 32 ? version + 6 : NULL;
}

/* Where the next record of a chain is; -1: this was the last one. */
static int next_of(int at, uint64_t step)
{
    return step && step <= (uint64_t)(INT_MAX - at) ? at + (int)step : -1;
}

/* The versions that are asked of one library. */
static void read_aux(Elf_Data *data, const struct names *names, int at, int *budget,
                     struct pkg_elf *out)
{
    GElf_Vernaux aux;

    while (at >= 0 && (*budget)-- > 0 && gelf_getvernaux(data, at, &aux)) {
        const char *name = name_at(names, aux.vna_name);
        const char *vsn = name ? glibc_of(name) : NULL;

        if (vsn && is_newer(vsn, out->glibc))
            set(&out->glibc, rel_xstrdup(vsn));
        at = next_of(at, aux.vna_next);
    }
}

/* What is asked of which library in which version: Elf_Verneed, each with its Elf_Vernaux. */
static void read_versions(Elf_Data *data, const struct names *names, struct pkg_elf *out)
{
    int at = 0, budget = VERSIONS_MAX;
    GElf_Verneed need;

    while (at >= 0 && data && budget-- > 0 && gelf_getverneed(data, at, &need)) {
        read_aux(data, names, next_of(at, need.vn_aux), &budget, out);
        at = next_of(at, need.vn_next);
    }
}

static int read_interp(Elf *elf, const char *data, size_t len, struct pkg_elf *out)
{
    size_t n;

    if (elf_getphdrnum(elf, &n) < 0)
        return -1;
    for (size_t i = 0; i < n && i < HEADERS_MAX; i++) {
        GElf_Phdr ph;

        if (!gelf_getphdr(elf, (int)i, &ph))
            return -1;
        if (ph.p_type != PT_INTERP)
            continue;
        if (ph.p_offset > len || ph.p_filesz > len - ph.p_offset || !ph.p_filesz ||
            ph.p_filesz > NAME_MAX_LEN || data[ph.p_offset + ph.p_filesz - 1])
            return -1;
        set(&out->interp, rel_xstrdup(data + ph.p_offset));
    }
    return 0;
}

/* What a section holds. There is one of each kind; more would only cost time. */
static int read_sections(Elf *elf, bool *dynamic, struct pkg_elf *out)
{
    bool versions = false;
    Elf_Scn *scn = NULL;

    *dynamic = false;
    for (int i = 0; i < SECTIONS_MAX && (scn = elf_nextscn(elf, scn)); i++) {
        struct names names = {.elf = elf};
        GElf_Shdr sh;

        if (!gelf_getshdr(scn, &sh))
            return -1;
        names.section = sh.sh_link;
        if (sh.sh_type == SHT_DYNAMIC && !*dynamic &&
            read_dynamic(elf_getdata(scn, NULL), &names, out) < 0)
            return -1;
        if (sh.sh_type == SHT_GNU_verneed && !versions)
            read_versions(elf_getdata(scn, NULL), &names, out);
        *dynamic |= sh.sh_type == SHT_DYNAMIC;
        versions |= sh.sh_type == SHT_GNU_verneed;
    }
    return 0;
}

/* The part of the file that is loaded at an address, to the end of its segment. */
static bool find_address(Elf *elf, size_t len, uint64_t address, GElf_Phdr *part)
{
    size_t n;

    if (elf_getphdrnum(elf, &n) < 0)
        return false;
    for (size_t i = 0; i < n && i < HEADERS_MAX && gelf_getphdr(elf, (int)i, part); i++) {
        uint64_t skip = address - part->p_vaddr;

        if (part->p_type != PT_LOAD || address < part->p_vaddr || skip >= part->p_filesz ||
            part->p_offset > len || part->p_filesz > len - part->p_offset)
            continue;
        part->p_offset += skip;
        part->p_filesz -= skip;
        return true;
    }
    return false;
}

/* The same as the dynamic linker finds it: by addresses. */
static int read_loaded(Elf *elf, const char *data, size_t len, const GElf_Phdr *segment,
                       struct pkg_elf *out)
{
    Elf_Data *tags =
        elf_getdata_rawchunk(elf, (int64_t)segment->p_offset, segment->p_filesz, ELF_T_DYN);
    uint64_t strings = 0, versions = 0, size = 0;
    struct names names = {.elf = elf};
    GElf_Phdr part;
    GElf_Dyn dyn;

    for (int i = 0; i < TAGS_MAX && tags && gelf_getdyn(tags, i, &dyn); i++) {
        if (dyn.d_tag == DT_NULL)
            break;
        if (dyn.d_tag == DT_STRTAB)
            strings = dyn.d_un.d_ptr;
        if (dyn.d_tag == DT_STRSZ)
            size = dyn.d_un.d_val;
        if (dyn.d_tag == DT_VERNEED)
            versions = dyn.d_un.d_ptr;
    }
    if (!find_address(elf, len, strings, &part))
        return -1;
    names.p = data + part.p_offset;
    names.n = size < part.p_filesz ? size : part.p_filesz;
    if (read_dynamic(tags, &names, out) < 0)
        return -1;
    if (versions && find_address(elf, len, versions, &part))
        read_versions(elf_getdata_rawchunk(elf, (int64_t)part.p_offset, part.p_filesz, ELF_T_VNEED),
                      &names, out);
    return 0;
}

/* Sections are for linkers and may have been stripped; segments of a file with debug information
 * alone point nowhere. So the latter are asked only where there are none of the former. */
static int read_needs(Elf *elf, const char *data, size_t len, struct pkg_elf *out)
{
    GElf_Phdr ph;
    bool done;
    size_t n;

    if (read_sections(elf, &done, out) < 0)
        return -1;
    if (done || elf_getphdrnum(elf, &n) < 0)
        return 0;
    for (size_t i = 0; i < n && i < HEADERS_MAX && gelf_getphdr(elf, (int)i, &ph); i++)
        if (ph.p_type == PT_DYNAMIC && ph.p_filesz)
            return ph.p_offset > len || ph.p_filesz > len - ph.p_offset
                       ? -1
                       : read_loaded(elf, data, len, &ph, out);
    return 0;
}

int pkg_elf_parse(const void *data, size_t len, const char *name, struct pkg_elf *elf,
                  struct rel_err *e)
{
    __attribute__((cleanup(pkg_elf_fini))) struct pkg_elf made = {0};
    autoelf Elf *file = NULL;
    GElf_Ehdr head;

    if (!pkg_elf_is(data, len))
        return broken(name, "it does not begin as one", e);
    elf_version(EV_CURRENT);
    /* It is only read: libelf copies what it has to convert. */
    file = elf_memory((char *)(uintptr_t)data, len);
    if (!file || elf_kind(file) != ELF_K_ELF || !gelf_getehdr(file, &head))
        return broken(name, "its header is wrong", e);
    made.machine = head.e_machine;
    made.bits = head.e_ident[EI_CLASS] == ELFCLASS64 ? 64 : 32;
    made.big_endian = head.e_ident[EI_DATA] == ELFDATA2MSB;
    if (head.e_phoff > len || head.e_shoff > len)
        return broken(name, "it is cut short", e);
    if (read_interp(file, data, len, &made) < 0 || read_needs(file, data, len, &made) < 0)
        return broken(name, "its tables are wrong", e);
    made.shared = head.e_type == ET_DYN && !made.interp;
    *elf = made;
    made = (struct pkg_elf){0};
    return 0;
}

void pkg_elf_fini(struct pkg_elf *elf)
{
    for (size_t i = 0; i < elf->needed_n; i++)
        free(elf->needed[i]);
    free(elf->needed);
    free(elf->interp);
    free(elf->soname);
    free(elf->runpath);
    free(elf->glibc);
    *elf = (struct pkg_elf){0};
}

const char *pkg_elf_machine_name(uint16_t machine, char buf[16])
{
    static const struct {
        uint16_t machine;
        const char *name;
    } names[] = {{EM_X86_64, "x86_64"}, {EM_AARCH64, "aarch64"}, {EM_386, "i686"},
                 {EM_ARM, "arm"},       {EM_RISCV, "riscv"},     {EM_PPC64, "powerpc64"},
                 {EM_S390, "s390x"},    {EM_MIPS, "mips"}};

    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
        if (names[i].machine == machine)
            return names[i].name;
    snprintf(buf, 16, "machine %u", machine);
    return buf;
}
