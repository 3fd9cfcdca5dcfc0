/*
 * One page of order 0: its flags, its references, where it is mapped, and which per-CPU batches hold it.  Each race includes
 * this, sets in its init where everything begins, and starts its tasks.
 *
 * An atomic step is one store that others can see, or one look at what others store.  Some of the kernel's stores are one step
 * here, as nobody can tell in between:
 * - a CPU's batch with the references that it gets, and, when it is emptied, with the last thing that its processing does:
 *   nobody looks into the batches of another CPU;
 * - an entry of a page table with the mapcount and the reference that it gets: entries are looked at under the page table lock;
 * - PG_mlocked with NR_MLOCK, which no path looks at;
 * - PG_unevictable with mlock_count, which is only looked at by who has cleared PG_lru and has the LRU lock;
 * - all that freeing the page does, since nobody can find it any more.
 *
 * Each race is run as the kernel has it, and without one of its guards.  It is also run twice: `in_full`, and with some steps
 * as the explorer has them, which makes other states: reclaim is simpler (reclaim.pml), a page is isolated in one step under
 * the LRU lock, and mlock() of 5.10 drains at its end.
 *
 * After each step that changes anything "S WITHOUT IN_FULL ..." tells the state, "B WITHOUT IN_FULL NAME" each invariant that
 * is broken, "N ..." what is only worth telling; when all tasks are done "E ..." tells the end.  Only C reads some of the
 * variables: spin must be run with -o1 -o2 -o3, or it takes them for needless.
 */
#define VM_IO_GUARD 1
#define ONE_STORE 2
#define FLAGS_FIRST 3
#define DRAINS 4
#define MIGRATION_DRAIN 5
#define ALL_SPECIAL 6
#define LRU_FIRST 7
byte without; /* one of these, or 0 */
bit in_full;

#define NONE 0 /* entries of the page tables */
#define MAPPED 1
#define MIGRATION 2
#define SWAP 3

#define LRU_PAGE 1 /* tags in the mlock batch: mlock_folio() */
#define NEW_PAGE 2 /* mlock_new_page() */
#define MUNLOCK 3 /* munlock_page(), which the kernel gives no tag */

typedef Mm { bit mmap_lock; bit ptl; bit vm_locked; bit vm_io; byte entry } /* one VMA of one page, with its page table */
typedef Cpu { byte adds; byte nr; byte tag[3] } /* how often lru_add has the page; the mlock batch */

Mm mm[2];
Cpu cpu[3];
bit pg_lru, pg_unevictable, pg_mlocked;
byte mlock_count; /* 0 while PG_unevictable is clear: it lies over lru.prev */
byte refs, nr_mlock;
bit cached; /* in the page cache or the swap cache, which has a reference */
bit lru_lock;
bit page_lock; /* PG_locked */
byte done; /* tasks that are */

#define MAPPED_IN(m) (mm[m].entry == MAPPED)

/* What is told of a state, in C: written out at each step it would make the verifiers many times larger. */
c_code {
	#define MAPPED_HERE(m) (now.mm[m].entry == MAPPED)
	#define LOCKED_HERE(m) (MAPPED_HERE(m) && now.mm[m].vm_locked)

	static int tags(int tag)
	{
		int cpu, i, found = 0;

		for (cpu = 0; cpu < 3; cpu++)
			for (i = 0; i < 3; i++)
				found += tag ? now.cpu[cpu].tag[i] == tag : now.cpu[cpu].tag[i] != 0;
		return found;
	}

	static int queued(void) { return now.cpu[0].adds + now.cpu[1].adds + now.cpu[2].adds + tags(0); }

	static int locks(void) { return LOCKED_HERE(0) + LOCKED_HERE(1); }

	static void tell_if(int told, const char *kind, const char *text)
	{
		if (told)
			printf("%s %d %d %s\n", kind, now.without, now.in_full, text);
	}

	static void tell_state(const char *kind)
	{
		int m, c;

		printf("%s %d %d ", kind, now.without, now.in_full);
		for (m = 0; m < 2; m++)
			printf("%d%d%d ", now.mm[m].vm_locked, now.mm[m].vm_io, now.mm[m].entry);
		printf("%d%d%d %d %d ", now.pg_lru, now.pg_unevictable, now.pg_mlocked, now.mlock_count, now.cached);
		printf("%d %d", now.lru_lock, now.refs);
		for (c = 0; c < 3; c++)
			printf(" %d%d%d%d", now.cpu[c].adds, now.cpu[c].tag[0], now.cpu[c].tag[1], now.cpu[c].tag[2]);
		printf("\n");
	}

	static void tell_any(void)
	{
		int at_work = now.mm[0].mmap_lock || now.mm[1].mmap_lock || now.mm[0].ptl || now.mm[1].ptl;
		int mapped = MAPPED_HERE(0) + MAPPED_HERE(1);

		tell_state("S");
		tell_if(now.refs < mapped + now.cached + queued(), "B", "reference missing");
		tell_if(mapped > 0 && !at_work && now.mlock_count > locks() + tags(MUNLOCK), "B", "count too high");
		tell_if(!now.lru_lock && now.nr_mlock != now.pg_mlocked, "B", "nr_mlock wrong");
		tell_if(now.refs > 0 && now.pg_mlocked && mapped == 0 && queued() == 0 && !at_work, "N", "mlocked, not mapped");
	}

	static void tell_last(void)
	{
		tell_state("E");
		if (now.refs == 0)
			return;
		tell_if(queued() > 0 && locks() > 0, "B", "reference left");
		tell_if(queued() == 0 && !now.pg_lru, "B", "off its LRU");
		tell_if(now.pg_mlocked && locks() == 0, "B", "stranded, mlocked");
		tell_if(now.pg_unevictable && !now.pg_mlocked && locks() == 0, "B", "stranded, not mlocked");
		tell_if(queued() > 0 && locks() == 0, "N", "in a vector");
		tell_if(locks() > 0 && !now.pg_mlocked, "N", "undercount");
	}
};

/* What is told of every state, and when all tasks are done. */
inline tell() { c_code { tell_any(); } }
inline tell_end() { c_code { tell_last(); } }

/* The beginning of an init. */
inline choose_in_full() {
	if
	:: in_full = 0
	:: in_full = 1
	fi
}

/* The end of an init: all tasks are done. */
inline all_done(tasks) { atomic { done == tasks; tell_end() } }

inline take(lock) { atomic { !lock -> lock = 1; tell() } }
inline drop(lock) { d_step { lock = 0; tell() } }

/* __page_cache_release(), free_pages_prepare().  To be used in a d_step, or an atomic. */
inline free_page() {
	pg_lru = 0;
	pg_unevictable = 0;
	mlock_count = 0;
	nr_mlock = nr_mlock - pg_mlocked;
	pg_mlocked = 0
}

/* Who drops the last reference frees the page, under the LRU lock if it is on an LRU.  Tasks declare `freeing` as a bit. */
inline put_page() {
	d_step {
		refs--;
		freeing = (refs == 0 && pg_lru);
		if
		:: refs == 0 && !pg_lru -> free_page()
		:: else
		fi;
		tell()
	}
	if
	:: freeing -> atomic { !lru_lock -> free_page(); tell() }
	:: else
	fi
}
