/*
 * munlock on one CPU of a page that was just faulted in on another, where it waits in the mlock batch for its LRU, or
 * with PATCH_07 in lru_add.  Afterwards
 * COMPACTION takes it off its LRU and puts it back, or MLOCK_AGAIN locks and unlocks it once more.
 */
#include "mlock.pml"

#include "drain.pml"

#ifdef COMPACTION
#include "compaction.pml"
#endif

init {
	choose_in_full();
	d_step {
		mm[0].vm_locked = 1;
		mm[0].entry[which] = MAPPED;
		pg_mlocked = 1;
		nr_mlock = 1;
#ifdef PATCH_07
		cpu[1].adds[which] = 1;
#else
		cpu[1].nr = 1;
		cpu[1].tag[0] = NEW_PAGE;
#endif
		refs = 2; /* of the entry and of the batch */
		tell()
	}
	atomic { run change_locks(0, 0, 0, 1); run drain(1) }
#ifdef COMPACTION
	atomic { done == 2 -> run compaction(0) }
	all_done(3)
#elif defined(MLOCK_AGAIN)
	atomic { done == 2 -> run change_locks(0, 0, 1, 1) }
	all_done(3)
#else
	all_done(2)
#endif
}
