/*
 * What Linux does to the page after patch 07 of the series: mm/mlock.c, mm/swap.c.  There is no mlock batch, so pages are
 * changed at once.  The rmap hook tests VM_IO alone, which is the only one of VM_SPECIAL that a VM_LOCKED VMA has here.
 */
#include "page.pml"

#define LOCALS bit isolated, taken, last, freeing; byte c

/* TestClearPageLRU(): the page is isolated. */
inline test_clear_lru() { isolated = pg_lru; pg_lru = 0 }

/* ClearPageUnevictable(), when the page goes to an evictable list. */
inline rescue() { d_step { pg_unevictable = 0; mlock_count = 0; tell() } }

/* mlock_page(), under a page table lock; it isolates the page before it waits for the LRU lock. */
inline mlock_folio() {
	d_step { nr_mlock = nr_mlock + !pg_mlocked; pg_mlocked = 1; tell() }
	d_step { taken = pg_lru; pg_lru = 0; tell() } /* TestClearPageLRU() */
	if
	:: taken ->
		take(lru_lock);
		d_step {
			if
			:: pg_unevictable -> mlock_count++
			:: else -> pg_unevictable = 1; mlock_count = 1
			fi;
			tell()
		}
		d_step { pg_lru = 1; tell() }
		drop(lru_lock)
	:: else
	fi
}

/* munlock_page(): it does not isolate the page. */
inline munlock_page() {
	take(lru_lock);
	last = 1;
	if
	:: pg_lru && pg_unevictable ->
		if
		:: mlock_count > 0 -> d_step { mlock_count--; tell() }
		:: else
		fi;
		last = (mlock_count == 0)
	:: else
	fi;
	if
	:: last ->
		d_step { nr_mlock = nr_mlock - pg_mlocked; pg_mlocked = 0; tell() } /* TestClearPageMlocked() */
		if
		:: pg_lru && pg_unevictable -> /* looked at once more */
			if
			:: !pg_mlocked -> rescue() /* page_evictable() */
			:: else
			fi
		:: else
		fi
	:: else
	fi;
	drop(lru_lock)
}

/* mlock_vma_page(), the rmap hook: one look at vm_flags. */
inline mlock_vma_folio(m) {
	if
	:: mm[m].vm_locked && !mm[m].vm_io -> mlock_folio()
	:: else
	fi
}

/* munlock_vma_page(), the hook at the end of page_remove_rmap(): VM_IO does not matter. */
inline munlock_vma_page(m) {
	if
	:: mm[m].vm_locked -> munlock_page()
	:: else
	fi
}

inline mlock_page_drain_local() { skip }

/* lru_add_drain(): __pagevec_lru_add_fn(), which sets PG_lru first, and begins the count at one for a page with PG_mlocked. */
inline lru_add_drain() {
	if
	:: cpu[c].adds[which] ->
		take(lru_lock);
		rescue(); /* folio_test_clear_unevictable() */
		d_step { pg_lru = 1; tell() }
		if
		:: pg_mlocked -> d_step { pg_unevictable = 1; mlock_count = pg_mlocked; tell() } /* !folio_evictable() */
		:: else
		fi;
		d_step { lru_lock = 0; cpu[c].adds[which] = 0; tell() }
		put_page()
	:: else
	fi
}

/* putback_lru_page(): lru_cache_add(), and the reference of the isolation goes. */
inline folio_putback_lru() {
	d_step { refs++; cpu[c].adds[which]++; tell() }
	put_page()
}
