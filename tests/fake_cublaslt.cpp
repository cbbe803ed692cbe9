// A library with the functions of cuBLASLt that tinynn uses, which computes on the host. Written from the documentation.
//
// It is stricter than it need be: whatever the documentation does not allow ends in a status, and is not computed.
// What a test wants to know or to change is in the functions that begin with fake_.

#include <unistd.h>

#include "fake_cublaslt.h"

extern "C" {

long long fake_asked() { return asked; }
long long fake_computed() { return computed; }
long long fake_alive() { return alive; }
unsigned fake_reductions() { return last_reductions; }
unsigned fake_alignment() { return last_alignment; }
unsigned long long fake_stream() { return last_stream; }
void fake_refuse(int epilogues) { refused = epilogues; }
void fake_fail(int status) { failing = status; }
void fake_delay(int microseconds) { delay = microseconds; }

int cublasLtCreate(Handle** handle) { return failing ? failing.load() : make(handle, new Handle); }
int cublasLtDestroy(Handle* handle) { return destroy(handle, HANDLE); }

int cublasLtMatmulDescCreate(Product** out, int compute, int scale) {
    Product* made = new Product;
    made->compute = compute, made->scale = scale;
    return make(out, made);
}
int cublasLtMatmulDescDestroy(Product* p) { return destroy(p, PRODUCT); }
int cublasLtMatmulDescSetAttribute(Product* p, int attribute, const void* value, size_t size) {
    if (!is(p, PRODUCT)) return INVALID_VALUE;
    switch (attribute) {
        case 3: return put(&p->transpose_a, value, size);
        case 4: return put(&p->transpose_b, value, size);
        case 7: return put(&p->epilogue, value, size);
        case 8: return put(&p->vector, value, size);
    }
    return INVALID_VALUE;
}

int cublasLtMatrixLayoutCreate(Layout** out, int type, uint64_t rows, uint64_t columns, int64_t leading) {
    if (type != R_32F && type != R_64F && type != R_16BF) return INVALID_VALUE;
    Layout* made = new Layout;
    made->type = type, made->rows = rows, made->columns = columns, made->leading = leading;
    return make(out, made);
}
int cublasLtMatrixLayoutDestroy(Layout* x) { return destroy(x, LAYOUT); }
int cublasLtMatrixLayoutSetAttribute(Layout* x, int attribute, const void* value, size_t size) {
    if (!is(x, LAYOUT)) return INVALID_VALUE;
    switch (attribute) {
        case 1: {
            int32_t order;
            if (put(&order, value, size) || (order != 0 && order != 1)) return INVALID_VALUE;
            x->order = order;
            return SUCCESS;
        }
        case 5: return put(&x->batch, value, size);
        case 6: return put(&x->offset, value, size);
    }
    return INVALID_VALUE;
}

int cublasLtMatmulPreferenceCreate(Wishes** out) { return make(out, new Wishes); }
int cublasLtMatmulPreferenceDestroy(Wishes* x) { return destroy(x, WISHES); }
int cublasLtMatmulPreferenceSetAttribute(Wishes* x, int attribute, const void* value, size_t size) {
    if (!is(x, WISHES)) return INVALID_VALUE;
    switch (attribute) {
        case 1: return put(&x->workspace, value, size);
        case 3: return put(&x->reductions, value, size);
        case 5: case 6: case 7: case 8: {
            uint32_t bytes;
            if (put(&bytes, value, size) || !bytes || (bytes & (bytes - 1))) return INVALID_VALUE;
            x->alignments[attribute - 5] = bytes;
            return SUCCESS;
        }
    }
    return INVALID_VALUE;
}

int cublasLtMatmulAlgoGetHeuristic(
    Handle* handle, Product* p, Layout* a, Layout* b, Layout* c, Layout* d, Wishes* wishes, int room, Suggestion* found,
    int* count
) {
    asked++;
    *count = 0;
    if (!is(handle, HANDLE)) return NOT_INITIALIZED;
    Shape shape;
    if (!is(wishes, WISHES) || room < 1 || c != d) return INVALID_VALUE;
    if (int status = shape_of(p, a, b, d, &shape)) return status;
    if (p->epilogue & refused) return NOT_SUPPORTED;
    const Layout* layouts[] = {a, b, c, d};
    for (int i = 0; i < 4; i++) {
        if (wishes->alignments[i] < size_of(layouts[i]->type)) return INVALID_VALUE;
    }
    last_reductions = wishes->reductions, last_alignment = wishes->alignments[0];
    memset(found, 0xFF, sizeof(Suggestion) * room);
    int at = room > 1;  // the first answer is one that cannot be used
    found[0].state = NOT_SUPPORTED;
    Suggestion* good = &found[at];
    good->algorithm = {ALGORITHM, digest(p, a, b, d), {0, 0, 0, 0}, wishes->workspace, 0};
    for (int i = 0; i < 4; i++) good->algorithm.alignments[i] = wishes->alignments[i];
    good->workspace = wishes->workspace;
    good->state = SUCCESS;
    *count = at + 1;
    return SUCCESS;
}

int cublasLtMatmul(
    Handle* handle, Product* p, const void* alpha, const void* A, Layout* a, const void* B, Layout* b, const void* beta,
    const void* C, Layout* c, void* D, Layout* d, const Algorithm* algorithm, void* workspace, size_t size,
    uint64_t stream
) {
    if (delay) usleep(delay);
    if (failing) return failing;
    if (!is(handle, HANDLE)) return NOT_INITIALIZED;
    Shape shape;
    if (int status = shape_of(p, a, b, d, &shape)) return status;
    if (!algorithm || algorithm->magic != ALGORITHM || algorithm->problem != digest(p, a, b, d)) return INVALID_VALUE;
    if (C != D || c != d || !workspace || (uintptr_t)workspace % 16 || size < algorithm->workspace) return INVALID_VALUE;
    const void* memory[] = {A, B, C, D};
    for (int i = 0; i < 4; i++) {
        if (!memory[i] || (uintptr_t)memory[i] % algorithm->alignments[i]) return INVALID_VALUE;
    }
    bool twice = p->scale == R_64F;
    double factor = twice ? *(const double*)alpha : *(const float*)alpha;
    double kept = twice ? *(const double*)beta : *(const float*)beta;
    if (factor != 1 || kept != 0) return INTERNAL_ERROR;
    memset(workspace, 0xFF, algorithm->workspace);
    for (int i = 0; i < d->batch; i++) {
        int64_t start_a = i * a->offset, start_b = i * b->offset, start_d = i * d->offset;
        for (uint64_t m = 0; m < shape.M; m++) {
            for (uint64_t n = 0; n < shape.N; n++) {
                double sum = 0;
                for (uint64_t k = 0; k < shape.K; k++) {
                    int64_t at_a = start_a + (p->transpose_a ? k + m * a->leading : m + k * a->leading);
                    int64_t at_b = start_b + (p->transpose_b ? n + k * b->leading : k + n * b->leading);
                    sum += read(A, at_a, a->type, p->compute) * read(B, at_b, b->type, p->compute);
                }
                if (p->epilogue == BIAS) sum += read(p->vector, m, d->type, 0);
                write(D, start_d + m + n * d->leading, d->type, sum);
            }
        }
    }
    last_stream = stream;
    computed++;
    return SUCCESS;
}
}
