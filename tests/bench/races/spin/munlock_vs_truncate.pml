/* munlock of a page of a shmem file while a hole is punched; PINNED: somebody else holds the page for a while. */
#include "mlock.pml"
#include "punch_hole.pml"

proctype unpin() {
	bit freeing;
	put_page();
	done++
}

init {
	choose_in_full();
#ifndef PINNED
	if
	:: without = 0
	:: without = FLAGS_FIRST
#ifndef PATCH_07
	:: without = DRAINS
#endif
	fi;
#endif
	d_step {
		mm[0].vm_locked = 1;
		mm[0].entry[which] = MAPPED;
		cached = 1;
		pg_lru = 1;
		pg_unevictable = 1;
		pg_mlocked = 1;
		nr_mlock = 1;
		mlock_count = 1;
		refs = 2; /* of the entry and of the page cache */
#ifdef PINNED
		refs++;
#endif
		tell()
	}
	atomic {
		run change_locks(0, 0, 0, 1);
#ifdef PINNED
		run unpin();
#endif
		run punch_hole(1)
	}
#ifdef PINNED
	all_done(3)
#else
	all_done(2)
#endif
}
