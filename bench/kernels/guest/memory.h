/*
 * The two functions that a compiler may call of its own accord; a program includes this once.
 */
#ifndef MEMORY_H
#define MEMORY_H

#include <stddef.h>

void *memcpy(void *to, const void *from, size_t nbytes) {
    void *target = to;
    size_t words = nbytes / 8;
    __asm__ volatile("rep movsq" : "+D"(target), "+S"(from), "+c"(words) : : "memory");
    nbytes %= 8;
    __asm__ volatile("rep movsb" : "+D"(target), "+S"(from), "+c"(nbytes) : : "memory");
    return to;
}

void *memset(void *to, int value, size_t nbytes) {
    void *target = to;
    size_t words = nbytes / 8;
    unsigned long filled = 0x0101010101010101UL * (unsigned char)value;
    __asm__ volatile("rep stosq" : "+D"(target), "+c"(words) : "a"(filled) : "memory");
    nbytes %= 8;
    __asm__ volatile("rep stosb" : "+D"(target), "+c"(nbytes) : "a"(filled) : "memory");
    return to;
}

#endif
