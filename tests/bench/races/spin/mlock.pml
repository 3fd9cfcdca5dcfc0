/*
 * The task of mlock() and of munlock(): mlock_vma_pages_range() of Linux 6.1, or of PATCH_07 which is the same, and what
 * it would be without a guard.
 * VM_IO is stored together with VM_LOCKED, before the walk, and cleared after it; lru_add_drain() is called before and after.
 */
#ifdef PATCH_07
#include "patch_07.pml"
#else
#include "linux_6_1.pml"
#endif

/* The walk is told by vm_flags what to do, or where those come last by what they will be. */
inline mlock_pte_range(m) {
	take(mm[m].ptl);
	if
	:: MAPPED_IN(m) && locking -> mlock_folio()
	:: MAPPED_IN(m) && !locking -> munlock_page()
	:: else
	fi;
	drop(mm[m].ptl)
}

inline store_flags(m, locked, io) { d_step { mm[m].vm_locked = locked; mm[m].vm_io = io; tell() } }

inline mlock_vma_pages_range(m) {
	take(mm[m].mmap_lock);
	if
	:: without == FLAGS_FIRST
	:: else ->
		if
		:: locking && without == VM_IO_GUARD -> store_flags(m, 1, 0)
		:: locking && without == ONE_STORE -> store_flags(m, 1, 0); store_flags(m, 1, 1)
		:: locking && without != VM_IO_GUARD && without != ONE_STORE -> store_flags(m, 1, 1)
		:: !locking -> store_flags(m, 0, 0)
		fi
	fi;
	if
	:: without == DRAINS
	:: else -> lru_add_drain()
	fi;
	mlock_pte_range(m);
	if
	:: without == DRAINS
	:: else -> lru_add_drain()
	fi;
	store_flags(m, locking, 0);
	drop(mm[m].mmap_lock)
}

/* mlock() if `lock`, then munlock() if `unlock`, of the VMA of one address space, on one CPU. */
proctype change_locks(byte on_cpu; byte m; bit lock; bit unlock) {
	LOCALS;
	bit locking;
	c = on_cpu;
	do
	:: lock -> lock = 0; locking = 1; mlock_vma_pages_range(m)
	:: !lock && unlock -> unlock = 0; locking = 0; mlock_vma_pages_range(m)
	:: else -> break
	od;
	done++
}
