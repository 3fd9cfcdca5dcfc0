/*
 * The protocol's lines: "NUMBER TEXT *CRC32\n", numbered from 0, the checksum over "NUMBER TEXT", as zlib counts it.
 * A line is built in memory and goes out at once, into a ring where the host shares one, else in one write.
 */
#ifndef LINES_H
#define LINES_H

#include "ring.h"

#define LINE_BYTES (4UL << 20)

struct lines {
    int fd;
    struct ring ring;
    char *line;     /* LINE_BYTES of it */
    size_t used;    /* may count beyond LINE_BYTES: what does not fit is left out, and the line becomes an error */
    word number;    /* of the next line */
    uint32_t crc[256];
};

static void lines_init(struct lines *out, int fd, char *memory) {
    out->fd = fd;
    out->line = memory;
    out->used = 0;
    out->number = 0;
    for (uint32_t byte = 0; byte < 256; byte++) {
        uint32_t value = byte;
        for (int bit = 0; bit < 8; bit++)
            value = value & 1 ? value >> 1 ^ 0xedb88320U : value >> 1;
        out->crc[byte] = value;
    }
}

static void put_char(struct lines *out, char one) {
    if (out->used < LINE_BYTES - 64)
        out->line[out->used] = one;
    out->used++;
}

static void put_text(struct lines *out, const char *text) {
    while (*text)
        put_char(out, *text++);
}

/* A number in base 10 or 16, without prefix. */
static void put_word(struct lines *out, word value, unsigned base) {
    char digits[24];
    int count = 0;
    do {
        digits[count++] = "0123456789abcdef"[value % base];
        value /= base;
    } while (value);
    while (count)
        put_char(out, digits[--count]);
}

static void put_signed(struct lines *out, long value) {
    if (value < 0)
        put_char(out, '-');
    put_word(out, value < 0 ? -(word)value : (word)value, 10);
}

static void begin_line(struct lines *out, const char *kind) {
    out->used = 0;
    put_word(out, out->number++, 10);
    put_char(out, ' ');
    put_text(out, kind);
}

static void end_line(struct lines *out) {
    if (out->used > LINE_BYTES - 64) {
        out->number--;
        begin_line(out, "error a line is too long");
    }
    uint32_t crc = 0xffffffffU;
    for (size_t at = 0; at < out->used; at++)
        crc = crc >> 8 ^ out->crc[(crc ^ (unsigned char)out->line[at]) & 255];
    crc = ~crc;
    put_text(out, " *");
    for (int shift = 28; shift >= 0; shift -= 4)
        put_char(out, "0123456789abcdef"[crc >> shift & 15]);
    put_char(out, '\n');
    if (out->ring.written)
        ring_write(&out->ring, out->line, out->used);
    else
        (void)write_all(out->fd, out->line, out->used); /* nobody else could be told */
}

#endif
