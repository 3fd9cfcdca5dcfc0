/*
 * What Linux 6.1 does to the page: mm/mlock.c, mm/swap.c, mm/internal.h.
 * Tasks declare what these need: LOCALS.
 */
#include "page.pml"

#define LOCALS bit isolated, last, lruvec, freeing; byte i, c PAGE_LOCALS

/* folio_lruvec_relock_irq(): the lock is kept from one page of a batch to the next. */
inline relock() {
	if
	:: lruvec
	:: else -> take(lru_lock); lruvec = 1
	fi
}

/* folio_test_clear_lru(): the page is isolated. */
inline test_clear_lru() { isolated = pg_lru; pg_lru = 0 }

/* ClearPageUnevictable(), when the page goes to an evictable list. */
inline rescue() { d_step { pg_unevictable = 0; mlock_count = 0; tell() } }

/* SetPageUnevictable(); mlock_count = !!PageMlocked(). */
inline cull() { d_step { pg_unevictable = 1; mlock_count = pg_mlocked; tell() } }

/* A huge page does not wait in the batch. */
#ifdef HUGE
inline flush_huge_page() { mlock_page_drain_local() }
#else
inline flush_huge_page() { skip }
#endif

/* mlock_folio(), under a page table lock. */
inline mlock_folio() {
	d_step { nr_mlock = nr_mlock + !pg_mlocked; pg_mlocked = 1; tell() }
	d_step { refs++; cpu[c].tag[cpu[c].nr] = TAGGED(LRU_PAGE); cpu[c].nr++; tell() }
	flush_huge_page()
}

/* munlock_page(): nothing else is done before the batch is processed. */
inline munlock_page() {
	d_step { refs++; cpu[c].tag[cpu[c].nr] = TAGGED(MUNLOCK); cpu[c].nr++; tell() }
	flush_huge_page()
}

/* mlock_vma_folio(), the rmap hook: one look at vm_flags, VM_IO among VM_SPECIAL. */
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

/* What is next in the batch; the LRU lock, if it is held, is dropped before the batch is emptied.  To be used in a d_step. */
inline next_entry() {
	i++;
	if
	:: i == cpu[c].nr && !lruvec -> empty_batch()
	:: else
	fi
}

inline empty_batch() {
	cpu[c].nr = 0;
	cpu[c].tag[0] = 0;
	cpu[c].tag[1] = 0;
	cpu[c].tag[2] = 0
}

inline set_lru() { d_step { pg_lru = 1; next_entry(); tell() } }

/* __mlock_page(). */
inline process_mlock() {
	d_step {
		test_clear_lru();
		if
		:: !isolated -> next_entry() /* nothing more */
		:: else
		fi;
		tell()
	}
	if
	:: isolated ->
		relock();
		if
		:: !pg_mlocked -> /* page_evictable(): another CPU has cleared it already */
			if
			:: pg_unevictable -> rescue()
			:: else
			fi
		:: else ->
			if
			:: pg_unevictable ->
				if
				:: pg_mlocked -> d_step { mlock_count++; tell() } /* a second look */
				:: else
				fi
			:: else -> cull()
			fi
		fi;
		set_lru()
	:: else
	fi
}

/* __mlock_new_page(): the page is on no LRU yet, so nothing is to be isolated. */
inline process_new() {
	relock();
	if
	:: !pg_mlocked /* page_evictable() */
	:: else -> cull()
	fi;
	set_lru()
}

/* __munlock_page(): PG_mlocked is cleared without the LRU lock when the page is not isolated here. */
inline process_munlock() {
	d_step { test_clear_lru(); last = 1; tell() }
	if
	:: isolated ->
		relock();
		if
		:: pg_unevictable ->
			if
			:: mlock_count > 0 -> d_step { mlock_count--; tell() }
			:: else
			fi;
			last = (mlock_count == 0)
		:: else
		fi
	:: else
	fi;
	if
	:: last ->
		d_step { /* TestClearPageMlocked() */
			nr_mlock = nr_mlock - pg_mlocked;
			pg_mlocked = 0;
			if
			:: !isolated -> next_entry()
			:: else
			fi;
			tell()
		}
		if
		:: isolated && pg_unevictable && !pg_mlocked -> rescue() /* page_evictable() */
		:: else
		fi
	:: else
	fi;
	if
	:: isolated -> set_lru()
	:: else
	fi
}

#ifdef TWO_PAGES
/* Of which page each entry of the batch is; the task comes back to its own. */
inline begin_batch() { atomic { own = which; nr = cpu[c].nr } }

inline turn_to_entry() { atomic { which = (cpu[c].tag[i] - 1) / NR_TAGS; whose[i] = which } }

inline release_pages() {
	i = 0;
	do
	:: i < nr -> which = whose[i]; put_page(); atomic { whose[i] = 0; i++ }
	:: else -> break
	od;
	atomic { which = own; own = 0; nr = 0; i = 0 }
}

/* No more than one page is ever in lru_add. */
inline begin_lru_add() { atomic { own = which; which = !cpu[c].adds[0] && cpu[c].adds[1] } }
inline end_lru_add() { atomic { which = own; own = 0 } }
#else
inline begin_batch() { skip }
inline turn_to_entry() { skip }

inline release_pages() {
	do
	:: i > 0 -> put_page(); i--
	:: else -> break
	od
}

inline begin_lru_add() { skip }
inline end_lru_add() { skip }
#endif

/* mlock_page_drain_local(): mlock_pagevec(). */
inline mlock_page_drain_local() {
	i = 0;
	begin_batch();
	do
	:: i < cpu[c].nr ->
		turn_to_entry();
		if
		:: cpu[c].tag[i] == TAGGED(LRU_PAGE) -> process_mlock()
		:: cpu[c].tag[i] == TAGGED(NEW_PAGE) -> process_new()
		:: cpu[c].tag[i] == TAGGED(MUNLOCK) -> process_munlock()
		fi
	:: else -> break
	od;
	if
	:: lruvec -> d_step { lru_lock = 0; lruvec = 0; empty_batch(); tell() }
	:: else
	fi;
	release_pages()
}

/* lru_add_drain(): folio_batch_move_lru() of the lru_add batch with lru_add_fn(), then the mlock batch. */
inline lru_add_drain() {
	begin_lru_add();
	if
	:: cpu[c].adds[which] ->
		take(lru_lock);
		rescue(); /* folio_test_clear_unevictable() */
		if
		:: pg_mlocked -> d_step { pg_unevictable = 1; mlock_count = 0; tell() } /* the count is not known */
		:: else /* folio_evictable() */
		fi;
		d_step { pg_lru = 1; tell() }
		d_step { lru_lock = 0; cpu[c].adds[which] = 0; tell() }
		put_page()
	:: else
	fi;
	end_lru_add();
	mlock_page_drain_local()
}

/* folio_putback_lru(): folio_add_lru(), and the reference of the isolation goes. */
inline folio_putback_lru() {
	d_step { refs++; cpu[c].adds[which]++; tell() }
	put_page()
}
