/*
 * mlock, then munlock unless HELD, while migration maps the page again: the destination is on an evictable LRU.  RECLAIM meets
 * the page afterwards; with AND_RECLAIM or AND_TRUNCATE a third task is at it at the same time, on CPU 2, and CPU 1 drains last.
 */
#include "mlock.pml"
#include "migration.pml"
#if defined(RECLAIM) || defined(AND_RECLAIM)
#include "reclaim.pml"
#endif
#ifdef AND_TRUNCATE
#include "punch_hole.pml"
#endif
#if defined(AND_RECLAIM) || defined(AND_TRUNCATE)
#include "drain.pml"
#define THREE
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
#elif defined(THREE)
	if
	:: without = 0
	:: without = VM_IO_GUARD
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
	:: without = LRU_FIRST
	fi;
#endif
	d_step {
		mm[0].entry[which] = MIGRATION;
		pg_lru = (without != LRU_FIRST);
		page_lock = 1;
		refs = 1; /* of who migrates */
#ifdef AND_TRUNCATE
		cached = 1;
		refs++;
#endif
		tell()
	}
	atomic {
#ifdef HELD
		run change_locks(0, 0, 1, 0);
#else
		run change_locks(0, 0, 1, 1);
#endif
#ifdef AND_RECLAIM
		run reclaim(2);
#endif
#ifdef AND_TRUNCATE
		run punch_hole(2);
#endif
		run migration(1)
	}
#if defined(RECLAIM)
	atomic { done == 2 -> run reclaim(1) }
	all_done(3)
#elif defined(THREE)
	atomic { done == 3 -> run drain(1) }
	all_done(4)
#else
	all_done(2)
#endif
}
