/*
 * mlock, then munlock, of two anonymous pages while migration maps the first again and reclaim, on CPU 2, is at the second;
 * CPU 1 drains last.
 */
#define TWO_PAGES
#include "mlock.pml"
#include "migration.pml"
#include "reclaim.pml"
#include "drain.pml"

init {
	byte which;
	choose_in_full();
	if
	:: without = 0
	:: without = VM_IO_GUARD
	fi;
	d_step {
		mm[0].entry[0] = MIGRATION;
		pg_lru = 1;
		page_lock = 1;
		refs = 1; /* of who migrates */
		which = 1;
		mm[0].entry[1] = MAPPED;
		pg_lru = 1;
		refs = 1; /* of the entry */
		tell()
	}
	atomic { run change_locks(0, 0, 1, 1); run reclaim(2); run migration(1) }
	atomic { done == 3 -> run drain(1) }
	all_done(4)
}
