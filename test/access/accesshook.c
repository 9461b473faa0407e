/* SPDX-License-Identifier: ISC */
/*
 * What gcc and clang call in code that is compiled with -fsanitize=thread, without ThreadSanitizer behind it: each
 * access is told to the engine, before it is made, and each atomic operation is made here.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "access/engine.h"

#define PC __builtin_return_address(0)

void __tsan_init(void);
void __tsan_init(void)
{
}

void __tsan_func_entry(void *pc);
void __tsan_func_entry(void *pc)
{
	(void)pc;
}

void __tsan_func_exit(void);
void __tsan_func_exit(void)
{
}

#define PLAIN(name, how)                                                                                       \
	void name(void *address);                                                                              \
	void name(void *address)                                                                               \
	{                                                                                                      \
		engine_access(how, address, PC);                                                               \
	}
#define PLAINS(size)                                                                                           \
	PLAIN(__tsan_read##size, ACCESS_READ)                                                                  \
	PLAIN(__tsan_write##size, ACCESS_WRITE)                                                                \
	PLAIN(__tsan_unaligned_read##size, ACCESS_READ)                                                        \
	PLAIN(__tsan_unaligned_write##size, ACCESS_WRITE)                                                      \
	PLAIN(__tsan_read_write##size, ACCESS_WRITE)                                                           \
	PLAIN(__tsan_unaligned_read_write##size, ACCESS_WRITE)                                                 \
	PLAIN(__tsan_volatile_read##size, ACCESS_READ)                                                         \
	PLAIN(__tsan_volatile_write##size, ACCESS_WRITE)
PLAINS(1)
PLAINS(2)
PLAINS(4)
PLAINS(8)
PLAINS(16)
PLAIN(__tsan_vptr_read, ACCESS_READ)

void __tsan_vptr_update(void *address, void *value);
void __tsan_vptr_update(void *address, void *value)
{
	(void)value;
	engine_access(ACCESS_WRITE, address, PC);
}

/* Of a struct at once: as many points as it has words. */
static void range(enum access_kind kind, void *address, unsigned long size, void *pc)
{
	for (unsigned long i = 0; i < size; i += 8)
		engine_access(kind, (unsigned char *)address + i, pc);
}

void __tsan_read_range(void *address, unsigned long size);
void __tsan_read_range(void *address, unsigned long size)
{
	range(ACCESS_READ, address, size, PC);
}

void __tsan_write_range(void *address, unsigned long size);
void __tsan_write_range(void *address, unsigned long size)
{
	range(ACCESS_WRITE, address, size, PC);
}

void __tsan_atomic_thread_fence(int order);
void __tsan_atomic_thread_fence(int order)
{
	(void)order; /* actors take turns: what one has stored the next one sees */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
}

void __tsan_atomic_signal_fence(int order);
void __tsan_atomic_signal_fence(int order)
{
	(void)order;
}

#define FETCH(bits, type, op, builtin)                                                                         \
	type __tsan_atomic##bits##_##op(volatile type *word, type value, int order);                           \
	type __tsan_atomic##bits##_##op(volatile type *word, type value, int order)                            \
	{                                                                                                      \
		(void)order;                                                                                   \
		engine_access(ACCESS_WRITE, (const void *)(uintptr_t)word, PC);                                \
		return builtin(word, value, __ATOMIC_SEQ_CST);                                                 \
	}

/* Counted as a store, also where it fails. */
#define CAS(bits, type, op)                                                                                    \
	int __tsan_atomic##bits##_##op(volatile type *word, type *expected, type desired, int order,           \
				       int failure);                                                           \
	int __tsan_atomic##bits##_##op(volatile type *word, type *expected, type desired, int order,           \
				       int failure)                                                            \
	{                                                                                                      \
		(void)order;                                                                                   \
		(void)failure;                                                                                 \
		engine_access(ACCESS_WRITE, (const void *)(uintptr_t)word, PC);                                \
		return __atomic_compare_exchange_n(word, expected, desired, false, __ATOMIC_SEQ_CST,           \
						   __ATOMIC_SEQ_CST);                                          \
	}

#define ATOMICS(bits, type)                                                                                    \
	type __tsan_atomic##bits##_load(const volatile type *word, int order);                                 \
	type __tsan_atomic##bits##_load(const volatile type *word, int order)                                  \
	{                                                                                                      \
		(void)order;                                                                                   \
		engine_access(ACCESS_READ, (const void *)(uintptr_t)word, PC);                                 \
		return __atomic_load_n(word, __ATOMIC_SEQ_CST);                                                \
	}                                                                                                      \
	void __tsan_atomic##bits##_store(volatile type *word, type value, int order);                          \
	void __tsan_atomic##bits##_store(volatile type *word, type value, int order)                           \
	{                                                                                                      \
		(void)order;                                                                                   \
		engine_access(ACCESS_WRITE, (const void *)(uintptr_t)word, PC);                                \
		__atomic_store_n(word, value, __ATOMIC_SEQ_CST);                                               \
	}                                                                                                      \
	FETCH(bits, type, exchange, __atomic_exchange_n)                                                       \
	FETCH(bits, type, fetch_add, __atomic_fetch_add)                                                       \
	FETCH(bits, type, fetch_sub, __atomic_fetch_sub)                                                       \
	FETCH(bits, type, fetch_and, __atomic_fetch_and)                                                       \
	FETCH(bits, type, fetch_or, __atomic_fetch_or)                                                         \
	FETCH(bits, type, fetch_xor, __atomic_fetch_xor)                                                       \
	FETCH(bits, type, fetch_nand, __atomic_fetch_nand)                                                     \
	CAS(bits, type, compare_exchange_strong)                                                               \
	CAS(bits, type, compare_exchange_weak)                                                                 \
	type __tsan_atomic##bits##_compare_exchange_val(volatile type *word, type expected, type desired,      \
							int order, int failure);                               \
	type __tsan_atomic##bits##_compare_exchange_val(volatile type *word, type expected, type desired,      \
							int order, int failure)                                \
	{                                                                                                      \
		(void)order;                                                                                   \
		(void)failure;                                                                                 \
		engine_access(ACCESS_WRITE, (const void *)(uintptr_t)word, PC);                                \
		(void)__atomic_compare_exchange_n(word, &expected, desired, false, __ATOMIC_SEQ_CST,           \
						  __ATOMIC_SEQ_CST);                                           \
		return expected;                                                                               \
	}
ATOMICS(8, uint8_t)
ATOMICS(16, uint16_t)
ATOMICS(32, uint32_t)
ATOMICS(64, uint64_t)
