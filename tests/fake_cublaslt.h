// What the fake cuBLASLt knows of a product, what it accepts, and how it reads and writes numbers.

#include <stdint.h>
#include <string.h>

#include <atomic>
#include <initializer_list>

namespace {

enum { SUCCESS = 0, NOT_INITIALIZED = 1, INVALID_VALUE = 7, INTERNAL_ERROR = 14, NOT_SUPPORTED = 15 };
enum { R_32F = 0, R_64F = 1, R_16BF = 14 };
enum { COMPUTE_32F = 68, COMPUTE_64F = 70, COMPUTE_32F_FAST_TF32 = 77 };
enum { DEFAULT = 1, BIAS = 4 };
enum { PRODUCT = 0x50524F44, LAYOUT = 0x4C41594F, WISHES = 0x57495348, HANDLE = 0x48414E44, ALGORITHM = 0x414C474F };

struct Product {
    int magic = PRODUCT, compute, scale;
    int32_t transpose_a = 0, transpose_b = 0;
    uint32_t epilogue = DEFAULT;
    void* vector = nullptr;
};
struct Layout {
    int magic = LAYOUT, type;
    uint64_t rows, columns;
    int64_t leading;
    int32_t order = 0, batch = 1;
    int64_t offset = 0;
};
struct Wishes {
    int magic = WISHES;
    uint64_t workspace = 0;
    uint32_t reductions = 7, alignments[4] = {256, 256, 256, 256};
};
struct Handle {
    int magic = HANDLE;
};
struct Algorithm {
    uint64_t magic, problem, alignments[4], workspace, unused;
};
struct Suggestion {
    Algorithm algorithm;
    size_t workspace;
    int state;
    float waves;
    int reserved[4];
};
static_assert(sizeof(Suggestion) == 96 && sizeof(Algorithm) == 64, "as in the documentation");

std::atomic<long long> asked{0}, computed{0}, alive{0};
std::atomic<int> refused{0}, failing{0}, delay{0};
std::atomic<uint32_t> last_reductions{0}, last_alignment{0};
std::atomic<uint64_t> last_stream{0};

template <class T> bool is(const T* x, int magic) { return x && x->magic == magic; }

template <class T> int make(T** out, T* made) {
    *out = made;
    alive++;
    return SUCCESS;
}

template <class T> int destroy(T* x, int magic) {
    if (!is(x, magic)) return INVALID_VALUE;
    x->magic = 0;
    delete x;
    alive--;
    return SUCCESS;
}

template <class T> int put(T* to, const void* from, size_t size) {
    if (!from || size != sizeof(T)) return INVALID_VALUE;
    memcpy(to, from, size);
    return SUCCESS;
}

size_t size_of(int type) { return type == R_64F ? 8 : type == R_32F ? 4 : 2; }

bool sound(const Layout* x) {
    return is(x, LAYOUT) && x->rows && x->columns && x->leading >= (int64_t)x->rows && x->batch >= 1 && x->offset >= 0;
}

struct Shape {
    uint64_t M, N, K;
};

int shape_of(const Product* p, const Layout* a, const Layout* b, const Layout* d, Shape* shape) {
    if (!is(p, PRODUCT) || !sound(a) || !sound(b) || !sound(d)) return INVALID_VALUE;
    if (a->batch != d->batch || b->batch != d->batch || (d->batch > 1 && !d->offset)) return INVALID_VALUE;
    *shape = {d->rows, d->columns, p->transpose_a ? a->rows : a->columns};
    uint64_t m = p->transpose_a ? a->columns : a->rows;
    uint64_t k = p->transpose_b ? b->columns : b->rows, n = p->transpose_b ? b->rows : b->columns;
    if (m != shape->M || n != shape->N || k != shape->K) return INVALID_VALUE;
    if (a->order || b->order || d->order || d->batch > 65535) return NOT_SUPPORTED;
    bool single = p->scale == R_32F && d->type == R_32F && a->type == b->type;
    bool fits = (p->compute == COMPUTE_32F && single && (a->type == R_32F || a->type == R_16BF)) ||
                (p->compute == COMPUTE_32F_FAST_TF32 && single && a->type == R_32F) ||
                (p->compute == COMPUTE_64F && p->scale == R_64F && a->type == R_64F && b->type == R_64F && d->type == R_64F);
    if (!fits) return NOT_SUPPORTED;
    if (p->epilogue != DEFAULT && (!p->vector || d->batch > 1 || (uintptr_t)p->vector % size_of(d->type))) {
        return INVALID_VALUE;
    }
    if (p->epilogue != DEFAULT && p->epilogue != BIAS) return NOT_SUPPORTED;
    return SUCCESS;
}

uint64_t digest(const Product* p, const Layout* a, const Layout* b, const Layout* d) {
    uint64_t h = 1469598103934665603ull;
    auto mix = [&h](uint64_t x) { h = (h ^ x) * 1099511628211ull; };
    mix(p->compute), mix(p->transpose_a), mix(p->transpose_b), mix(p->epilogue);
    for (const Layout* x : {a, b, d}) mix(x->type), mix(x->rows), mix(x->columns), mix(x->leading), mix(x->batch), mix(x->offset);
    return h;
}

float cut(float x, int digits) {  // to the nearest with so many bits fewer, of two as near the even one
    uint32_t bits;
    memcpy(&bits, &x, 4);
    if ((bits & 0x7F800000u) == 0x7F800000u) return x;
    uint32_t unit = 1u << digits;
    bits = (bits + unit / 2 - 1 + (bits >> digits & 1u)) & ~(unit - 1);
    memcpy(&x, &bits, 4);
    return x;
}

double read(const void* memory, int64_t at, int type, int compute) {
    if (type == R_64F) return ((const double*)memory)[at];
    if (type == R_16BF) {
        uint32_t bits = (uint32_t)((const uint16_t*)memory)[at] << 16;
        float x;
        memcpy(&x, &bits, 4);
        return x;
    }
    float x = ((const float*)memory)[at];
    return compute == COMPUTE_32F_FAST_TF32 ? cut(x, 13) : x;
}

void write(void* memory, int64_t at, int type, double x) {
    if (type == R_64F) {
        ((double*)memory)[at] = x;
    } else {
        ((float*)memory)[at] = (float)x;
    }
}

}  // namespace
