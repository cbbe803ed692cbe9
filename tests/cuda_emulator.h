// CUDA C++ as C++: one block after the other, its threads as fibres that change places at a barrier.
//
// What is kept: built-in names, shared memory (full of NaN when a block begins), barriers. A barrier that some threads
// of a block do not reach, a read or write in a guarded page and undefined arithmetic end the launch with an error.

#include <math.h>
#include <setjmp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <ucontext.h>

#define __global__
#define __device__
#define __shared__ static __attribute__((section("shared_memory")))

struct Place {
    unsigned int x, y, z;
};
static Place threadIdx, blockIdx, blockDim, gridDim;

extern "C" {
extern char __start_shared_memory[] __attribute__((weak, visibility("hidden")));
extern char __stop_shared_memory[] __attribute__((weak, visibility("hidden")));
}

namespace emulator {

enum { DONE, LEFT_BEHIND, FAULT, UNDEFINED };
enum { MOST = 1024, STACK = 64 * 1024 };

static ucontext_t scheduler, fibres[MOST];
static char* stacks;
static bool finished[MOST];
static unsigned int current;
static int votes;
static void (*thread)(void**);
static void** arguments;
static sigjmp_buf ended;

static void run() {
    thread(arguments);
    finished[current] = true;
}

static void caught(int signal) { siglongjmp(ended, signal == SIGILL || signal == SIGTRAP ? UNDEFINED : FAULT); }

// One block; `backwards`: the last thread first. Whether all threads met at every barrier.
static bool block(bool backwards, bool barriers) {
    if (__start_shared_memory) memset(__start_shared_memory, 0xFF, __stop_shared_memory - __start_shared_memory);
    unsigned int threads = blockDim.x;
    if (!barriers) {
        for (unsigned int i = 0; i < threads; i++) {
            threadIdx.x = backwards ? threads - 1 - i : i;
            thread(arguments);
        }
        return true;
    }
    if (!stacks) stacks = (char*)malloc((size_t)MOST * STACK);
    for (unsigned int i = 0; i < threads; i++) {
        getcontext(&fibres[i]);
        fibres[i].uc_stack.ss_sp = stacks + (size_t)i * STACK;
        fibres[i].uc_stack.ss_size = STACK;
        fibres[i].uc_link = &scheduler;
        makecontext(&fibres[i], run, 0);
        finished[i] = false;
    }
    for (unsigned int waiting = threads; waiting;) {
        waiting = 0;
        for (unsigned int i = 0; i < threads; i++) {
            current = backwards ? threads - 1 - i : i;
            threadIdx.x = current;
            swapcontext(&scheduler, &fibres[current]);
            waiting += !finished[current];
        }
        if (waiting && waiting < threads) return false;
    }
    return true;
}

static int launch(
    void (*kernel)(void**), unsigned int blocks, unsigned int threads, void** args, int backwards, int barriers
) {
    thread = kernel;
    arguments = args;
    gridDim = {blocks, 1, 1};
    blockDim = {threads, 1, 1};
    threadIdx = {0, 0, 0};
    const int signals[] = {SIGSEGV, SIGBUS, SIGILL, SIGTRAP};
    struct sigaction before[4], ours;
    memset(&ours, 0, sizeof ours);
    ours.sa_handler = caught;
    ours.sa_flags = SA_NODEFER;
    for (int i = 0; i < 4; i++) sigaction(signals[i], &ours, &before[i]);
    int result = sigsetjmp(ended, 1);
    if (result == DONE) {
        for (unsigned int i = 0; i < blocks && result == DONE; i++) {
            blockIdx = {backwards ? blocks - 1 - i : i, 0, 0};
            if (!block(backwards, barriers)) result = LEFT_BEHIND;
        }
    }
    for (int i = 0; i < 4; i++) sigaction(signals[i], &before[i], 0);
    return result;
}

// What an argument is: a pointer, a whole number or a float; and how large.
template <class A> struct Kind { enum { letter = A(0.5) == A(0) ? 'i' : 'f' }; };
template <class A> struct Kind<A*> { enum { letter = 'p' }; };

template <unsigned... I> struct Places {};
template <unsigned N, unsigned... I> struct Count : Count<N - 1, N - 1, I...> {};
template <unsigned... I> struct Count<0, I...> { typedef Places<I...> places; };

template <class... A> struct Signature {
    static int describe(char* letters, int* sizes) {
        const char found[] = {(char)Kind<A>::letter...};
        const int bytes[] = {(int)sizeof(A)...};
        for (unsigned int i = 0; i < sizeof...(A); i++) {
            letters[i] = found[i];
            sizes[i] = bytes[i];
        }
        return sizeof...(A);
    }
    template <unsigned... I> static void call(void (*kernel)(A...), void** args, Places<I...>) {
        kernel(*(A*)args[I]...);
    }
    static void call(void (*kernel)(A...), void** args) { call(kernel, args, typename Count<sizeof...(A)>::places()); }
};
template <class... A> Signature<A...> signature(void (*)(A...)) { return {}; }

}  // namespace emulator

static void __syncthreads() { swapcontext(&emulator::fibres[emulator::current], &emulator::scheduler); }

static int __syncthreads_count(int mine) {
    emulator::votes = 0;
    __syncthreads();
    emulator::votes += mine != 0;
    __syncthreads();
    int all = emulator::votes;
    __syncthreads();
    return all;
}

static int __syncthreads_or(int mine) { return __syncthreads_count(mine) != 0; }

#define EMULATE(kernel, barriers) \
    static void call_##kernel(void** args) { emulator::signature(kernel).call(kernel, args); } \
    extern "C" int describe_##kernel(char* letters, int* sizes) { \
        return emulator::signature(kernel).describe(letters, sizes); \
    } \
    extern "C" int launch_##kernel(unsigned int blocks, unsigned int threads, void** args, int backwards) { \
        return emulator::launch(call_##kernel, blocks, threads, args, backwards, barriers); \
    }
