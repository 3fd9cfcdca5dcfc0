/* mlock, then munlock unless HELD, while migration maps the page again: the destination is on an evictable LRU. */
#include "mlock.pml"
#include "migration.pml"
#ifdef RECLAIM
#include "reclaim.pml" /* meets the page afterwards */
#endif

init {
	choose_in_full();
#if defined(RECLAIM)
#elif defined(HELD)
	if
	:: without = 0
	:: without = VM_IO_GUARD
	:: without = MIGRATION_DRAIN
	fi;
#else
	if
	:: without = 0
	:: without = VM_IO_GUARD
	:: without = ONE_STORE
	:: without = FLAGS_FIRST
#ifndef PATCH_07
	:: without = DRAINS
#endif
	fi;
#endif
	d_step {
		mm[0].entry = MIGRATION;
		pg_lru = 1;
		refs = 1; /* of who migrates */
		tell()
	}
	atomic {
#ifdef HELD
		run change_locks(0, 0, 1, 0);
#else
		run change_locks(0, 0, 1, 1);
#endif
		run migration(1)
	}
#ifdef RECLAIM
	atomic { done == 2 -> run reclaim(1) }
	all_done(3)
#else
	all_done(2)
#endif
}
