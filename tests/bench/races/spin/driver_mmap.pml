/*
 * A driver maps a page of a file in its ->mmap() under MCL_FUTURE, by vm_insert_page() in Linux 6.1, while somebody takes it
 * off its LRU for a while.  ALL_SPECIAL left out: the rmap hook declines VM_IO alone, as patch 07 did.
 */
#include "linux_6_1.pml"
#include "compaction.pml"

/* mmap_region(): VM_LOCKED is taken away when the driver has set VM_MIXEDMAP; then populate drains. */
proctype map_page(byte on_cpu) {
	LOCALS;
	c = on_cpu;
	take(mm[0].mmap_lock);
	d_step { mm[0].vm_locked = 1; tell() }
	take(mm[0].ptl);
	/* insert_page_into_pte_locked(): the hook is at the end of page_add_file_rmap(), before set_pte_at() */
	d_step { refs++; tell() }
	if
	:: without == ALL_SPECIAL -> mlock_vma_folio(0)
	:: else
	fi;
	d_step { mm[0].entry[which] = MAPPED; tell() }
	drop(mm[0].ptl);
	d_step { mm[0].vm_locked = 0; tell() }
	drop(mm[0].mmap_lock);
	lru_add_drain();
	done++
}

init {
	choose_in_full();
	if
	:: without = 0
	:: without = ALL_SPECIAL
	fi;
	d_step {
		cached = 1;
		pg_lru = 1;
		refs = 1; /* of the page cache */
		tell()
	}
	atomic { run map_page(0); run compaction(1) }
	all_done(2)
}
