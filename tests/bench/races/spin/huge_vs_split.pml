/*
 * A huge page whose PMD is split while it is unlocked, or with MLOCK locked and then unlocked; or with SHARED while a child of
 * fork() locks it, whose PMD it is, and the parent has it locked.  LINUX_6_12: which counts huge pages that entries map.
 */
#define HUGE
#include "mlock.pml"
#include "split.pml"

#ifdef SHARED
#define WHOSE 1
#else
#define WHOSE 0
#endif

init {
	choose_in_full();
	d_step {
		mm[0].entry[0] = MAPPED;
		pg_lru = 1;
		refs = 1; /* of the entry */
#ifndef MLOCK
		mm[0].vm_locked = 1;
		pg_unevictable = 1;
		pg_mlocked = 1;
		nr_mlock = 1;
		mlock_count = 1;
#endif
#ifdef SHARED
		mm[1].entry[0] = MAPPED;
		refs++;
#endif
		tell()
	}
	atomic {
#if defined(SHARED)
		run change_locks(0, 1, 1, 0);
#elif defined(MLOCK)
		run change_locks(0, 0, 1, 1);
#else
		run change_locks(0, 0, 0, 1);
#endif
		run split(1, WHOSE)
	}
	all_done(2)
}
