/*
 * Two processes map a page of a file: one unlocks it, the other locks it, and unlocks it again unless HELD, on another CPU.
 * COMPACTION takes it off its LRU meanwhile, on a third.
 */
#include "mlock.pml"
#ifdef COMPACTION
#include "compaction.pml"
#endif

init {
	choose_in_full();
	if
	:: without = 0
#if !defined(PATCH_07) && !defined(COMPACTION)
	:: without = DRAINS
#endif
	fi;
	d_step {
		mm[0].vm_locked = 1;
		mm[0].entry[which] = MAPPED;
		mm[1].entry[which] = MAPPED;
		cached = 1;
		pg_lru = 1;
		pg_unevictable = 1;
		pg_mlocked = 1;
		nr_mlock = 1;
		mlock_count = 1;
		refs = 3; /* of the entries and of the page cache */
		tell()
	}
	atomic {
		run change_locks(0, 0, 0, 1);
#ifdef COMPACTION
		run compaction(2);
#endif
#ifdef HELD
		run change_locks(1, 1, 1, 0)
#else
		run change_locks(1, 1, 1, 1)
#endif
	}
#ifdef COMPACTION
	all_done(3)
#else
	all_done(2)
#endif
}
