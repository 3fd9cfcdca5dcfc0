/*
 * munlock on one CPU of two pages that were faulted in on the other: the batch there still has one, the first or with SECOND
 * the second, and the other one is on the unevictable LRU already.
 */
#define TWO_PAGES
#include "mlock.pml"

#include "drain.pml"

#ifdef SECOND
#define WAITS 1
#else
#define WAITS 0
#endif

init {
	byte which = WAITS;
	choose_in_full();
	d_step {
		mm[0].vm_locked = 1;
		mm[0].entry[0] = MAPPED;
		mm[0].entry[1] = MAPPED;
		nr_mlock = 2;
		pg_mlocked = 1;
		cpu[1].nr = 1;
		cpu[1].tag[0] = TAGGED(NEW_PAGE);
		refs = 2; /* of the entry and of the batch */
		which = 1 - WAITS;
		pg_mlocked = 1;
		pg_lru = 1;
		pg_unevictable = 1;
		mlock_count = 1;
		refs = 1; /* of the entry */
		tell()
	}
	atomic { run change_locks(0, 0, 0, 1); run drain(1) }
	all_done(2)
}
