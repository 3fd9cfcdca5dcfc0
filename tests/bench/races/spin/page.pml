/*
 * One page of order 0, or with TWO_PAGES two of them, or with HUGE a huge page: its flags, its references, where it is mapped,
 * and which per-CPU batches hold it.  Each race includes this, sets in its init where everything begins, and starts its tasks.
 * Of two pages a task is at the one whose number is its `which`.
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

#define NONE 0 /* entries of the page tables; of a huge page it is the PMD's */
#define MAPPED 1
#define MIGRATION 2
#define SWAP 3
#define TABLE 4 /* it has been split: there is a table of entries, each of which maps a part of the huge page */

#ifdef HUGE
#define NR_PAGES 512
#else
#define NR_PAGES 1
#endif

#ifdef TWO_PAGES
#define PAGES 2
#define PAGE_LOCALS ; byte which, own, nr; byte whose[3]
#else
#define PAGES 1
#define PAGE_LOCALS
#define which 0
#endif

#define LRU_PAGE 1 /* tags in the mlock batch: mlock_folio() */
#define NEW_PAGE 2 /* mlock_new_page() */
#define MUNLOCK 3 /* munlock_page(), which the kernel gives no tag */
#define NR_TAGS 3
#define TAGGED(t) (t + NR_TAGS * which) /* with the page */

typedef Mm { bit mmap_lock; bit ptl; bit vm_locked; bit vm_io; byte entry[PAGES] } /* a VMA of the pages, with its page table */
typedef Cpu { byte adds[PAGES]; byte nr; byte tag[3] } /* how often lru_add has the page; the mlock batch, TAGGED */
typedef Page { bit on_lru; bit is_unevictable; bit is_mlocked; bit in_cache; bit is_locked; byte nr_locks; short references }

Mm mm[2];
Cpu cpu[3];
Page page[PAGES];
#define pg_lru page[which].on_lru
#define pg_unevictable page[which].is_unevictable
#define pg_mlocked page[which].is_mlocked
#define mlock_count page[which].nr_locks /* 0 while PG_unevictable is clear: it lies over lru.prev */
#define refs page[which].references
#define cached page[which].in_cache /* in the page cache or the swap cache, which has a reference */
#define page_lock page[which].is_locked /* PG_locked */
byte nr_mlock; /* NR_MLOCK, in pages or huge pages */
bit lru_lock;
byte done; /* tasks that are */

#define MAPPED_IN(m) (mm[m].entry[which] == MAPPED)

/* What is told of a state, in C: written out at each step it would make the verifiers many times larger. */
c_decl {
	\#include <search.h>
};

c_code {
	/* How many entries map the page; those of a VM_LOCKED VMA; whether that counts, which of a table is so from 6.7 on. */
	static int mapped_in(int m, int x)
	{
		int entry = now.mm[m].entry[x];

		return entry == TABLE ? NR_PAGES : entry == MAPPED;
	}

	static int locks_in(int m, int x) { return now.mm[m].vm_locked ? mapped_in(m, x) : 0; }

	static int is_counted_in(int m, int x)
	{
#ifdef LINUX_6_12
		return locks_in(m, x) > 0;
#else
		return locks_in(m, x) > 0 && now.mm[m].entry[x] == MAPPED;
#endif
	}

	/* How often a tag, or any, is in the batches with a page. */
	static int tags(int x, int tag)
	{
		int c, i, found = 0;

		for (c = 0; c < 3; c++)
			for (i = 0; i < 3; i++) {
				int one = now.cpu[c].tag[i] - NR_TAGS * x;

				found += tag ? one == tag : one > 0 && one <= NR_TAGS;
			}
		return found;
	}

	static int queued(int x) { return now.cpu[0].adds[x] + now.cpu[1].adds[x] + now.cpu[2].adds[x] + tags(x, 0); }

	static void tell_if(int told, const char *kind, const char *text)
	{
		if (told)
			printf("%s %d %d %s\n", kind, now.without, now.in_full, text);
	}

	static void tell_state(const char *kind)
	{
		int m, c, x;

		printf("%s %d %d", kind, now.without, now.in_full);
		for (m = 0; m < 2; m++) {
			printf(" %d%d", now.mm[m].vm_locked, now.mm[m].vm_io);
			for (x = 0; x < PAGES; x++)
				printf("%d", now.mm[m].entry[x]);
		}
		printf(" %d", now.lru_lock);
		for (c = 0; c < 3; c++) {
			printf(" ");
			for (x = 0; x < PAGES; x++)
				printf("%d", now.cpu[c].adds[x]);
			printf("%d%d%d", now.cpu[c].tag[0], now.cpu[c].tag[1], now.cpu[c].tag[2]);
		}
		for (x = 0; x < PAGES; x++) {
			printf(" %d,%d,%d", now.page[x].on_lru, now.page[x].is_unevictable, now.page[x].is_mlocked);
			printf(",%d,%d,%d", now.page[x].nr_locks, now.page[x].in_cache, now.page[x].references);
		}
		printf("\n");
	}

	static void tell_page(int x, int at_work)
	{
		int mapped = mapped_in(0, x) + mapped_in(1, x), count = now.page[x].nr_locks;
		int counted = is_counted_in(0, x) + is_counted_in(1, x), used = now.page[x].references > 0;

		tell_if(now.page[x].references < mapped + now.page[x].in_cache + queued(x), "B", "reference missing");
		tell_if(mapped > 0 && !at_work && count > counted + tags(x, MUNLOCK), "B", "count too high");
		tell_if(used && now.page[x].is_mlocked && mapped == 0 && queued(x) == 0 && !at_work, "N", "mlocked, not mapped");
	}

	/* All that is told of a state depends on. */
	typedef struct { struct Mm mm[2]; struct Cpu cpu[3]; struct Page page[PAGES]; int others[4]; } Told;

	static int compared(const void *one, const void *other) { return memcmp(one, other, sizeof(Told)); }

	static int is_told(void)
	{
		static void *all;
		static Told *new;

		if (!new)
			new = calloc(1, sizeof(*new));
		memcpy(new->mm, now.mm, sizeof(new->mm));
		memcpy(new->cpu, now.cpu, sizeof(new->cpu));
		memcpy(new->page, now.page, sizeof(new->page));
		new->others[0] = now.without;
		new->others[1] = now.in_full;
		new->others[2] = now.lru_lock;
		new->others[3] = now.nr_mlock;
		if (*(Told **) tsearch(new, &all, compared) != new)
			return 1;
		new = 0;
		return 0;
	}

	static void tell_any(void)
	{
		int at_work = now.mm[0].mmap_lock || now.mm[1].mmap_lock || now.mm[0].ptl || now.mm[1].ptl;
		int x, mlocked = 0;

		if (is_told())
			return;
		tell_state("S");
		for (x = 0; x < PAGES; x++) {
			tell_page(x, at_work);
			mlocked += now.page[x].is_mlocked;
		}
		tell_if(!now.lru_lock && now.nr_mlock != mlocked, "B", "nr_mlock wrong");
	}

	static void tell_last_of(int x)
	{
		int locks = locks_in(0, x) + locks_in(1, x), mlocked = now.page[x].is_mlocked;

		if (now.page[x].references == 0)
			return;
		tell_if(queued(x) > 0 && locks > 0, "B", "reference left");
		tell_if(queued(x) == 0 && !now.page[x].on_lru, "B", "off its LRU");
		tell_if(mlocked && locks == 0, "B", "stranded, mlocked");
		tell_if(now.page[x].is_unevictable && !mlocked && locks == 0, "B", "stranded, not mlocked");
		tell_if(queued(x) > 0 && locks == 0, "N", "in a vector");
		tell_if(locks > 0 && !mlocked, "N", "undercount");
	}

	static void tell_last(void)
	{
		int x;

		tell_state("E");
		for (x = 0; x < PAGES; x++)
			tell_last_of(x);
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
