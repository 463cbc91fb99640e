# From the BIOS to 64 bits with all vector registers, then to `payload`. Addresses: page tables from 0x1000, this sector at
# 0x7c00, the image behind it, its zeroes from 1 MiB, the stack below 8 MiB.
.section .boot, "awx"
.code16
.global start
start:
    cli
    cld
    xor ax, ax
    mov ds, ax
    mov es, ax
    mov ss, ax
    mov sp, 0x7c00

2:  mov si, offset packet
    mov ah, 0x42
    mov dl, 0x80
    int 0x13
    jc stop
    add word ptr [packet + 6], 0x800
    add word ptr [packet + 8], 64
    dec word ptr [steps]
    jnz 2b

    # Lines of addresses above 1 MiB.
    in al, 0x92
    or al, 2
    out 0x92, al

    # The first GiB, each address itself, in pages of 2 MiB.
    mov di, 0x1000
    xor eax, eax
    mov cx, 0x3000 / 4
    rep stosd
    mov word ptr [0x1000], 0x2003
    mov word ptr [0x2000], 0x3003
    mov di, 0x3000
    mov eax, 0x83
    mov cx, 512
3:  mov dword ptr [di], eax
    add eax, 0x200000
    add di, 8
    loop 3b

    # CR4: PAE, OSFXSR, OSXMMEXCPT, OSXSAVE.
    mov eax, cr4
    or eax, 0x40620
    mov cr4, eax
    mov eax, 0x1000
    mov cr3, eax
    # EFER: LME.
    mov ecx, 0xc0000080
    rdmsr
    or eax, 0x100
    wrmsr
    lgdt [descriptors_at]
    # CR0: PG, MP and PE, without EM.
    mov eax, cr0
    and eax, 0xfffffffb
    or eax, 0x80000003
    mov cr0, eax
    # A far jump to segment 8.
    .byte 0xea
    .word long, 8
stop:
    hlt
    jmp stop

.code64
long:
    xor eax, eax
    mov ds, ax
    mov es, ax
    mov ss, ax
    mov esp, 0x800000
    # XCR0: x87, SSE, AVX, and the masks and both parts of AVX-512.
    xor ecx, ecx
    xor edx, edx
    mov al, 0xe7
    xsetbv
    mov edi, offset bss_start
    mov ecx, offset bss_end
    sub ecx, edi
    xor eax, eax
    rep stosb
    movzx edi, byte ptr [mode]
    call payload
4:  hlt
    jmp 4b

.balign 8
descriptors:
    .quad 0
    .quad 0x00209a0000000000
descriptors_at:
    .word 15
    .long descriptors
packet:
    # Sectors, offset, segment, first sector.
    .byte 16, 0
    .word 64, 0, 0x7e0
    .quad 1
steps:
    .word load_steps

# What `payload` takes.
.org 504
mode:
    .byte 0
.org 510
    .word 0xaa55
