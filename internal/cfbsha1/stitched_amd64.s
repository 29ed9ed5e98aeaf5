#include "textflag.h"

// CFB encrypts the block at an offset.
//
// X8 is the block of ciphertext before it, to which the first key, X12, was added: all that
// the next block has to wait for is 14 rounds. The last of them adds the last key, and with
// it what X13 has (the first and the last key) and the plaintext, which leaves the new
// X8. What goes out is that without the first key.
#define CFB(at) \
	VAESENC     16(AX), X8, X8;  \
	VAESENC     32(AX), X8, X8;  \
	VAESENC     48(AX), X8, X8;  \
	VAESENC     64(AX), X8, X8;  \
	VPXOR       at(SI), X13, X9; \
	VAESENC     80(AX), X8, X8;  \
	VAESENC     96(AX), X8, X8;  \
	VAESENC     112(AX), X8, X8; \
	VAESENC     128(AX), X8, X8; \
	VAESENC     144(AX), X8, X8; \
	VAESENC     160(AX), X8, X8; \
	VAESENC     176(AX), X8, X8; \
	VAESENC     192(AX), X8, X8; \
	VAESENC     208(AX), X8, X8; \
	VAESENCLAST X9, X8, X8;      \
	VPXOR       X12, X8, X9;     \
	VMOVDQU     X9, at(DI)

// SHA does four rounds of SHA-1 with function f, and its part of the message schedule.
//
// X0 is a to d. e is what e follows from, and next is where that for the next four
// rounds goes. The schedule's four registers change places from call to call: a has the
// words of these rounds, b of those to come next.
#define SHA(f, e, next, a, b, c, d) \
	SHA1NEXTE a, e;      \
	VMOVDQA   X0, next;  \
	SHA1MSG2  a, b;      \
	SHA1RNDS4 $f, e, X0; \
	SHA1MSG1  a, d;      \
	PXOR      a, c

// WORDS reads 16 octets of the message as big-endian words.
#define WORDS(at, to) \
	VMOVDQU at(SI), to; \
	PSHUFB  X7, to

// func encryptUnits(keys *byte, last *byte, hash *uint32, dst, src *byte, n int)
//
// Four blocks of CFB and one of SHA-1 a turn. They have nothing to do with each other: they lie
// side by side in the processor's window, and run at once.
TEXT ·encryptUnits(SB), NOSPLIT, $0-48
	MOVQ    keys+0(FP), AX
	MOVQ    last+8(FP), BX
	MOVQ    hash+16(FP), CX
	MOVQ    dst+24(FP), DI
	MOVQ    src+32(FP), SI
	MOVQ    n+40(FP), DX
	ADDQ    SI, DX
	VMOVDQU (AX), X12
	VPXOR   224(AX), X12, X13
	VPXOR   (BX), X12, X8
	VPXOR   X5, X5, X5
	PINSRD  $3, 16(CX), X5
	VMOVDQU (CX), X0
	PSHUFD  $0x1b, X0, X0
	VMOVDQU swap<>(SB), X7

unit:
	VMOVDQA X5, X10
	VMOVDQA X0, X11
	WORDS(0, X1)
	WORDS(16, X2)
	WORDS(32, X3)
	WORDS(48, X4)

	CFB(0)
	PADDD     X1, X5
	VMOVDQA   X0, X6
	SHA1RNDS4 $0, X5, X0
	SHA1NEXTE X2, X6
	VMOVDQA   X0, X5
	SHA1RNDS4 $0, X6, X0
	SHA1MSG1  X2, X1
	SHA1NEXTE X3, X5
	VMOVDQA   X0, X6
	SHA1RNDS4 $0, X5, X0
	SHA1MSG1  X3, X2
	PXOR      X3, X1
	SHA(0, X6, X5, X4, X1, X2, X3)
	SHA(0, X5, X6, X1, X2, X3, X4)

	CFB(16)
	SHA(1, X6, X5, X2, X3, X4, X1)
	SHA(1, X5, X6, X3, X4, X1, X2)
	SHA(1, X6, X5, X4, X1, X2, X3)
	SHA(1, X5, X6, X1, X2, X3, X4)
	SHA(1, X6, X5, X2, X3, X4, X1)

	CFB(32)
	SHA(2, X5, X6, X3, X4, X1, X2)
	SHA(2, X6, X5, X4, X1, X2, X3)
	SHA(2, X5, X6, X1, X2, X3, X4)
	SHA(2, X6, X5, X2, X3, X4, X1)
	SHA(2, X5, X6, X3, X4, X1, X2)

	CFB(48)
	SHA(3, X6, X5, X4, X1, X2, X3)
	SHA(3, X5, X6, X1, X2, X3, X4)
	SHA(3, X6, X5, X2, X3, X4, X1)
	SHA(3, X5, X6, X3, X4, X1, X2)
	SHA1NEXTE X4, X6
	VMOVDQA   X0, X5
	SHA1RNDS4 $3, X6, X0
	SHA1NEXTE X10, X5
	PADDD     X11, X0

	ADDQ $64, SI
	ADDQ $64, DI
	CMPQ SI, DX
	JNE  unit

	VPXOR   X12, X8, X8
	VMOVDQU X8, (BX)
	PSHUFD  $0x1b, X0, X0
	VMOVDQU X0, (CX)
	PEXTRD  $3, X5, 16(CX)

	// No key and no message stays behind in a register.
	VZEROALL
	RET

// func hasSHA() bool
//
// It is CPUID's leaf 7, register EBX, bit 29. A processor without that leaf answers with another.
TEXT ·hasSHA(SB), NOSPLIT, $0-1
	MOVB $0, ret+0(FP)
	XORL AX, AX
	CPUID
	CMPL AX, $7
	JLT  none
	MOVL $7, AX
	XORL CX, CX
	CPUID
	SHRL $29, BX
	ANDL $1, BX
	MOVB BX, ret+0(FP)

none:
	RET

// func subWord(w uint32) uint32
TEXT ·subWord(SB), NOSPLIT, $0-12
	MOVL            w+0(FP), AX
	MOVQ            AX, X0
	PSHUFD          $0, X0, X0
	AESKEYGENASSIST $0, X0, X0
	MOVQ            X0, AX
	MOVL            AX, ret+8(FP)
	RET

DATA swap<>+0(SB)/8, $0x08090a0b0c0d0e0f
DATA swap<>+8(SB)/8, $0x0001020304050607
GLOBL swap<>(SB), RODATA|NOPTR, $16
