/*
 * Files for the C library: WASI preview 1 over the host's wasi:filesystem, in the directories that the worker allows.
 *
 * Only programs that open files link this: it puts itself behind the functions that stdio always uses, in wasi.c.
 */
#include <wasi/api.h>

#include "../bindings/brrr_world.h"
#include "internal.h"

/* Open at once, directories included. `FIRST` are stdin, stdout, stderr. */
enum { FIRST = 3, FILES = 64, PIECE = 64 << 10 };

typedef wasi_filesystem_types_borrow_descriptor_t descriptor;
typedef wasi_filesystem_types_error_code_t code;

static struct file {
    bool used, append;
    wasi_filesystem_types_own_descriptor_t own;
    /* Of a directory that the worker allows. */
    const char *name;
    uint8_t type;
    uint64_t position;
} files[FILES];

/* In the order of the host's codes. */
static const uint8_t errors[] = {
    __WASI_ERRNO_ACCES, __WASI_ERRNO_AGAIN, __WASI_ERRNO_ALREADY, __WASI_ERRNO_BADF, __WASI_ERRNO_BUSY,
    __WASI_ERRNO_DEADLK, __WASI_ERRNO_DQUOT, __WASI_ERRNO_EXIST, __WASI_ERRNO_FBIG, __WASI_ERRNO_ILSEQ,
    __WASI_ERRNO_INPROGRESS, __WASI_ERRNO_INTR, __WASI_ERRNO_INVAL, __WASI_ERRNO_IO, __WASI_ERRNO_ISDIR,
    __WASI_ERRNO_LOOP, __WASI_ERRNO_MLINK, __WASI_ERRNO_MSGSIZE, __WASI_ERRNO_NAMETOOLONG, __WASI_ERRNO_NODEV,
    __WASI_ERRNO_NOENT, __WASI_ERRNO_NOLCK, __WASI_ERRNO_NOMEM, __WASI_ERRNO_NOSPC, __WASI_ERRNO_NOTDIR,
    __WASI_ERRNO_NOTEMPTY, __WASI_ERRNO_NOTRECOVERABLE, __WASI_ERRNO_NOTSUP, __WASI_ERRNO_NOTTY, __WASI_ERRNO_NXIO,
    __WASI_ERRNO_OVERFLOW, __WASI_ERRNO_PERM, __WASI_ERRNO_PIPE, __WASI_ERRNO_ROFS, __WASI_ERRNO_SPIPE,
    __WASI_ERRNO_TXTBSY, __WASI_ERRNO_XDEV,
};

static int32_t failed(code error) {
    return error < sizeof errors ? errors[error] : __WASI_ERRNO_IO;
}

static uint8_t type_of(wasi_filesystem_types_descriptor_type_t type) {
    static const uint8_t types[] = {
        __WASI_FILETYPE_UNKNOWN, __WASI_FILETYPE_BLOCK_DEVICE, __WASI_FILETYPE_CHARACTER_DEVICE, __WASI_FILETYPE_DIRECTORY,
        __WASI_FILETYPE_UNKNOWN, __WASI_FILETYPE_SYMBOLIC_LINK, __WASI_FILETYPE_REGULAR_FILE,
        __WASI_FILETYPE_SOCKET_STREAM};
    return type < sizeof types ? types[type] : __WASI_FILETYPE_UNKNOWN;
}

static struct file *file_of(int32_t fd) {
    return fd >= FIRST && fd < FIRST + FILES && files[fd - FIRST].used ? &files[fd - FIRST] : NULL;
}

static descriptor borrow(const struct file *file) {
    return wasi_filesystem_types_borrow_descriptor(file->own);
}

/* Returns an error unless the path is UTF-8: the host would end the run. */
#define CHECK_PATH(path, size) \
    do { \
        if (!brrr_is_text((const char *)(path), (size_t)(size))) return __WASI_ERRNO_ILSEQ; \
    } while (0)

static brrr_world_string_t text(int32_t path, int32_t size) {
    return (brrr_world_string_t){(uint8_t *)path, (size_t)size};
}

/* The place of a new file, or -1. */
static int32_t place(wasi_filesystem_types_own_descriptor_t own, uint8_t type) {
    for (int32_t i = 0; i < FILES; i++) {
        if (files[i].used) continue;
        files[i] = (struct file){.used = true, .own = own, .type = type};
        return FIRST + i;
    }
    wasi_filesystem_types_descriptor_drop_own(own);
    return -1;
}

static int32_t read(int32_t fd, int32_t vectors, int32_t count, int32_t got) {
    struct file *file = file_of(fd);
    if (file == NULL) return __WASI_ERRNO_BADF;
    const __wasi_iovec_t *parts = (const __wasi_iovec_t *)vectors;
    size_t total = 0;
    for (int32_t i = 0; i < count; i++) {
        size_t filled = 0;
        while (filled < parts[i].buf_len) {
            size_t left = parts[i].buf_len - filled;
            brrr_world_tuple2_list_u8_bool_t piece;
            code error;
            if (!wasi_filesystem_types_method_descriptor_read(borrow(file), left < PIECE ? left : PIECE, file->position,
                                                              &piece, &error)) {
                return failed(error);
            }
            memcpy(parts[i].buf + filled, piece.f0.ptr, piece.f0.len);
            free(piece.f0.ptr);
            filled += piece.f0.len;
            file->position += piece.f0.len;
            if (piece.f1 || piece.f0.len == 0) break;
        }
        total += filled;
        if (filled < parts[i].buf_len) break;
    }
    *(__wasi_size_t *)got = total;
    return 0;
}

static int32_t stat_of(const struct file *file, wasi_filesystem_types_descriptor_stat_t *stat) {
    code error;
    return wasi_filesystem_types_method_descriptor_stat(borrow(file), stat, &error) ? 0 : failed(error);
}

static int32_t write(int32_t fd, int32_t vectors, int32_t count, int32_t written) {
    struct file *file = file_of(fd);
    if (file == NULL) return __WASI_ERRNO_BADF;
    if (file->append) {
        wasi_filesystem_types_descriptor_stat_t stat;
        int32_t problem = stat_of(file, &stat);
        if (problem != 0) return problem;
        file->position = stat.size;
    }
    const __wasi_ciovec_t *parts = (const __wasi_ciovec_t *)vectors;
    size_t total = 0;
    for (int32_t i = 0; i < count; i++) {
        size_t done = 0;
        while (done < parts[i].buf_len) {
            size_t left = parts[i].buf_len - done;
            brrr_world_list_u8_t piece = {(uint8_t *)(uintptr_t)parts[i].buf + done, left < PIECE ? left : PIECE};
            uint64_t size;
            code error;
            if (!wasi_filesystem_types_method_descriptor_write(borrow(file), &piece, file->position, &size, &error)) {
                return failed(error);
            }
            if (size == 0) return __WASI_ERRNO_IO;
            done += (size_t)size;
            file->position += size;
        }
        total += done;
    }
    *(__wasi_size_t *)written = total;
    return 0;
}

static int32_t seek(int32_t fd, int64_t offset, int32_t whence, int32_t position) {
    struct file *file = file_of(fd);
    if (file == NULL) return __WASI_ERRNO_BADF;
    int64_t base = 0, to;
    if (whence == __WASI_WHENCE_CUR) base = (int64_t)file->position;
    if (whence == __WASI_WHENCE_END) {
        wasi_filesystem_types_descriptor_stat_t stat;
        int32_t problem = stat_of(file, &stat);
        if (problem != 0) return problem;
        base = (int64_t)stat.size;
    }
    if (__builtin_add_overflow(base, offset, &to) || to < 0) return __WASI_ERRNO_INVAL;
    file->position = (uint64_t)to;
    *(uint64_t *)position = file->position;
    return 0;
}

static int32_t close(int32_t fd) {
    struct file *file = file_of(fd);
    if (file == NULL) return __WASI_ERRNO_BADF;
    wasi_filesystem_types_descriptor_drop_own(file->own);
    file->used = false;
    return 0;
}

static int32_t fdstat(int32_t fd, int32_t stat) {
    const struct file *file = file_of(fd);
    if (file == NULL) return __WASI_ERRNO_BADF;
    // What may really be done, the host decides when it is done.
    *(__wasi_fdstat_t *)stat = (__wasi_fdstat_t){
        .fs_filetype = file->type,
        .fs_flags = file->append ? __WASI_FDFLAGS_APPEND : 0,
        .fs_rights_base = UINT64_MAX,
        .fs_rights_inheriting = UINT64_MAX,
    };
    return 0;
}

static const file_functions functions = {read, write, seek, close, fdstat};

/* The directories that are allowed come first, as the C library expects. */
PROVIDE(fd_prestat_get, int32_t fd, int32_t stat) {
    if (brrr_files == NULL) {
        brrr_files = &functions;
        wasi_filesystem_preopens_list_tuple2_own_descriptor_string_t all;
        wasi_filesystem_preopens_get_directories(&all);
        for (size_t i = 0; i < all.len; i++) {
            int32_t at = place(all.ptr[i].f0, __WASI_FILETYPE_DIRECTORY);
            if (at >= 0) files[at - FIRST].name = (const char *)all.ptr[i].f1.ptr;
        }
    }
    const struct file *file = file_of(fd);
    if (file == NULL || file->name == NULL) return __WASI_ERRNO_BADF;
    *(__wasi_prestat_t *)stat =
        (__wasi_prestat_t){.tag = __WASI_PREOPENTYPE_DIR, .u.dir.pr_name_len = strlen(file->name)};
    return 0;
}

PROVIDE(fd_prestat_dir_name, int32_t fd, int32_t path, int32_t size) {
    const struct file *file = file_of(fd);
    if (file == NULL || file->name == NULL) return __WASI_ERRNO_BADF;
    size_t length = strlen(file->name);
    memcpy((void *)path, file->name, length < (size_t)size ? length : (size_t)size);
    return 0;
}

PROVIDE(fd_fdstat_set_flags, int32_t fd, int32_t flags) {
    struct file *file = file_of(fd);
    if (file == NULL) return __WASI_ERRNO_BADF;
    file->append = (flags & __WASI_FDFLAGS_APPEND) != 0;
    return 0;
}

PROVIDE(path_open, int32_t fd, int32_t lookup, int32_t path, int32_t size, int32_t open, int64_t rights, int64_t inherited,
        int32_t flags, int32_t opened) {
    (void)inherited;
    const struct file *directory = file_of(fd);
    if (directory == NULL) return __WASI_ERRNO_BADF;
    wasi_filesystem_types_descriptor_flags_t access = 0;
    bool as_directory = (open & __WASI_OFLAGS_DIRECTORY) != 0;
    if (as_directory || (rights & (int64_t)__WASI_RIGHTS_FD_READ)) access |= WASI_FILESYSTEM_TYPES_DESCRIPTOR_FLAGS_READ;
    if (!as_directory && (rights & (int64_t)__WASI_RIGHTS_FD_WRITE)) access |= WASI_FILESYSTEM_TYPES_DESCRIPTOR_FLAGS_WRITE;
    CHECK_PATH(path, size);
    brrr_world_string_t name = text(path, size);
    wasi_filesystem_types_own_descriptor_t own;
    code error;
    // The bits of both kinds of flags are the same.
    if (!wasi_filesystem_types_method_descriptor_open_at(
            borrow(directory), (wasi_filesystem_types_path_flags_t)(lookup & 1), &name,
            (wasi_filesystem_types_open_flags_t)open, access, &own, &error)) {
        return failed(error);
    }
    wasi_filesystem_types_descriptor_stat_t stat = {0};
    bool known = wasi_filesystem_types_method_descriptor_stat(wasi_filesystem_types_borrow_descriptor(own), &stat, &error);
    int32_t at = place(own, known ? type_of(stat.type) : __WASI_FILETYPE_UNKNOWN);
    if (at < 0) return __WASI_ERRNO_MFILE;
    files[at - FIRST].append = (flags & __WASI_FDFLAGS_APPEND) != 0;
    *(__wasi_fd_t *)opened = at;
    return 0;
}

static __wasi_timestamp_t time_of(wasi_filesystem_types_option_datetime_t time) {
    return time.is_some ? time.val.seconds * 1000000000 + time.val.nanoseconds : 0;
}

static void fill(int32_t to, const wasi_filesystem_types_descriptor_stat_t *stat) {
    *(__wasi_filestat_t *)to = (__wasi_filestat_t){
        .filetype = type_of(stat->type),
        .nlink = stat->link_count,
        .size = stat->size,
        .atim = time_of(stat->data_access_timestamp),
        .mtim = time_of(stat->data_modification_timestamp),
        .ctim = time_of(stat->status_change_timestamp),
    };
}

PROVIDE(fd_filestat_get, int32_t fd, int32_t to) {
    const struct file *file = file_of(fd);
    if (file == NULL) return __WASI_ERRNO_BADF;
    wasi_filesystem_types_descriptor_stat_t stat;
    int32_t problem = stat_of(file, &stat);
    if (problem == 0) fill(to, &stat);
    return problem;
}

PROVIDE(path_filestat_get, int32_t fd, int32_t lookup, int32_t path, int32_t size, int32_t to) {
    const struct file *directory = file_of(fd);
    if (directory == NULL) return __WASI_ERRNO_BADF;
    CHECK_PATH(path, size);
    brrr_world_string_t name = text(path, size);
    wasi_filesystem_types_descriptor_stat_t stat;
    code error;
    if (!wasi_filesystem_types_method_descriptor_stat_at(
            borrow(directory), (wasi_filesystem_types_path_flags_t)(lookup & 1), &name, &stat, &error)) {
        return failed(error);
    }
    fill(to, &stat);
    return 0;
}

/* Functions that take a directory and a path in it. */
#define AT(name, function)                                         \
    PROVIDE(name, int32_t fd, int32_t path, int32_t size) {        \
        const struct file *directory = file_of(fd);                \
        if (directory == NULL) return __WASI_ERRNO_BADF;           \
        CHECK_PATH(path, size);                                    \
        brrr_world_string_t at = text(path, size);                 \
        code error;                                                \
        return function(borrow(directory), &at, &error) ? 0 : failed(error); \
    }
AT(path_create_directory, wasi_filesystem_types_method_descriptor_create_directory_at)
AT(path_remove_directory, wasi_filesystem_types_method_descriptor_remove_directory_at)
AT(path_unlink_file, wasi_filesystem_types_method_descriptor_unlink_file_at)

PROVIDE(path_rename, int32_t fd, int32_t from, int32_t from_size, int32_t to_fd, int32_t to, int32_t to_size) {
    const struct file *directory = file_of(fd), *to_directory = file_of(to_fd);
    if (directory == NULL || to_directory == NULL) return __WASI_ERRNO_BADF;
    CHECK_PATH(from, from_size);
    CHECK_PATH(to, to_size);
    brrr_world_string_t old = text(from, from_size), new = text(to, to_size);
    code error;
    bool done = wasi_filesystem_types_method_descriptor_rename_at(borrow(directory), &old, borrow(to_directory), &new, &error);
    return done ? 0 : failed(error);
}
