/* SPDX-License-Identifier: Apache-2.0 */
.macro template name, file
    .global template_\name
    .global template_\name\()_end
template_\name:
    .incbin "\file"
template_\name\()_end:
    .byte 0
.endm

    .section .rodata
    template launcher, FILE_LAUNCHER_SH
    template erl, FILE_ERL_SH
    template env, FILE_ENV_SH
    template vm_args, FILE_VM_ARGS
    template remote_vm_args, FILE_REMOTE_VM_ARGS
    template mix_release, FILE_MIX_RELEASE_EXS
    template make_relup, FILE_MAKE_RELUP_SCRIPT
    .section .note.GNU-stack,"",%progbits
