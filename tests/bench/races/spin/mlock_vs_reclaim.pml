/* mlock, then munlock, while reclaim is at an anonymous page. */
#include "mlock.pml"
#include "reclaim.pml"

init {
	choose_in_full();
	if
	:: without = 0
	:: without = VM_IO_GUARD
	:: without = ONE_STORE
	:: without = FLAGS_FIRST
#ifndef PATCH_07
	:: without = DRAINS
#endif
	fi;
	d_step {
		mm[0].entry[which] = MAPPED;
		pg_lru = 1;
		refs = 1; /* of the entry */
		tell()
	}
	atomic { run change_locks(0, 0, 1, 1); run reclaim(1) }
	all_done(2)
}
