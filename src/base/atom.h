/* SPDX-License-Identifier: ISC */
/*
 * The atomic operations used on shared words, named by their order. All shared words are aligned 32- or 64-bit
 * C11 atomics that are lock-free in every process that maps them (asserted below): no libatomic, no lock table.
 *
 * The default for a word that hands something over is acquire on the load, release on the store, acq_rel on the
 * CAS; a comment at the call names the access that it pairs with. seq_cst is used only where a store must be
 * ordered before a later load of another word (sleep/wake: "I sleep" against "there is mail"), and says so.
 */
#ifndef HEIR_BASE_ATOM_H
#define HEIR_BASE_ATOM_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

typedef _Atomic uint32_t atom32;
typedef _Atomic uint64_t atom64;

_Static_assert(ATOMIC_INT_LOCK_FREE == 2 && ATOMIC_LLONG_LOCK_FREE == 2, "lock-free 32- and 64-bit atomics");
_Static_assert(sizeof(atom32) == 4 && sizeof(atom64) == 8 && sizeof(void *) == 8, "an LP64 system");

#define CACHE_LINE 64

#define atom_load_relaxed(p) atomic_load_explicit((p), memory_order_relaxed)
#define atom_load_acquire(p) atomic_load_explicit((p), memory_order_acquire)
#define atom_load_seq(p) atomic_load_explicit((p), memory_order_seq_cst)
#define atom_store_relaxed(p, v) atomic_store_explicit((p), (v), memory_order_relaxed)
#define atom_store_release(p, v) atomic_store_explicit((p), (v), memory_order_release)
#define atom_store_seq(p, v) atomic_store_explicit((p), (v), memory_order_seq_cst)
#define atom_add_relaxed(p, v) atomic_fetch_add_explicit((p), (v), memory_order_relaxed)
#define atom_add_release(p, v) atomic_fetch_add_explicit((p), (v), memory_order_release)
#define atom_add_seq(p, v) atomic_fetch_add_explicit((p), (v), memory_order_seq_cst)
#define atom_or_seq(p, v) atomic_fetch_or_explicit((p), (v), memory_order_seq_cst)
#define atom_or_relaxed(p, v) atomic_fetch_or_explicit((p), (v), memory_order_relaxed)
#define atom_and_relaxed(p, v) atomic_fetch_and_explicit((p), (v), memory_order_relaxed)
#define atom_xchg_acq_rel(p, v) atomic_exchange_explicit((p), (v), memory_order_acq_rel)

/* One CAS; on failure *expected is what was there. */
#define atom_cas(p, expected, desired) \
	atomic_compare_exchange_strong_explicit((p), (expected), (desired), memory_order_acq_rel, memory_order_acquire)
#define atom_cas_seq(p, expected, desired) \
	atomic_compare_exchange_strong_explicit((p), (expected), (desired), memory_order_seq_cst, memory_order_seq_cst)

#define fence_acquire() atomic_thread_fence(memory_order_acquire)
#define fence_release() atomic_thread_fence(memory_order_release)
#define fence_seq() atomic_thread_fence(memory_order_seq_cst)

#endif
