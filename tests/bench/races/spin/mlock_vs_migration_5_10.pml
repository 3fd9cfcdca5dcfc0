/*
 * mlock, then munlock, while migration maps the page again, in Linux 5.10: remove_migration_pte() and what __unmap_and_move()
 * does afterwards.  Who migrates has locked both pages.  The new one goes to an LRU only when it is mapped again: OFF_LRU; the
 * explorer has it on an evictable LRU from the beginning, as in later kernels.
 */
#include "linux_5_10.pml"

proctype migration(byte on_cpu) {
	LOCALS;
	c = on_cpu;
	take(mm[0].ptl);
	d_step { refs++; tell() } /* get_page() */
	d_step { mm[0].entry[which] = MAPPED; tell() } /* set_pte_at(), page_add_anon_rmap() */
	if
	:: mm[0].vm_locked -> mlock_vma_page()
	:: else
	fi;
	drop(mm[0].ptl);
	page_lock = 0;
	old_page_lock = 0;
	if
#ifdef OFF_LRU
	:: true -> putback_lru_page()
#else
	:: true -> put_page()
#endif
	fi;
	done++
}

init {
	choose_in_full();
	d_step {
		mm[0].entry[which] = MIGRATION;
#ifndef OFF_LRU
		pg_lru = 1;
#endif
		page_lock = 1;
		old_page_lock = 1;
		refs = 1; /* of who migrates */
		tell()
	}
	atomic { run change_locks(0, 1); run migration(1) }
	all_done(2)
}
