/*
 * mlock, then munlock, of a huge page while migration maps it again: remove_migration_pmd() of mm/huge_memory.c.  The reference
 * that the mapping had is that of who migrates.  LINUX_6_12: page_add_anon_rmap() leaves huge pages to reclaim.
 */
#define HUGE
#include "mlock.pml"

proctype migration_of_pmd(byte on_cpu) {
	LOCALS;
	c = on_cpu;
	take(mm[0].ptl);
	if
	:: mm[0].entry[which] == MIGRATION ->
		d_step { refs++; tell() } /* get_page() */
#ifndef LINUX_6_12
		mlock_vma_folio(0); /* at the end of page_add_anon_rmap() */
#endif
		atomic { mm[0].entry[which] = MAPPED; tell() } /* set_pmd_at() */
	:: else
	fi;
	drop(mm[0].ptl);
	drop(page_lock);
	put_page(); /* folio_put(dst) */
	done++
}

init {
	choose_in_full();
	if
	:: without = 0
	:: without = VM_IO_GUARD
	fi;
	d_step {
		mm[0].entry[0] = MIGRATION;
		pg_lru = 1;
		page_lock = 1;
		refs = 1;
		tell()
	}
	atomic { run change_locks(0, 0, 1, 1); run migration_of_pmd(1) }
	all_done(2)
}
