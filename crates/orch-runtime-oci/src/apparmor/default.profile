# What containers may do unless they ask for another profile: what Docker's own lets them. Capabilities, system calls and
# what they see are bounded elsewhere; this keeps them from the machine's settings if they are reached all the same.
profile @NAME@ flags=(attach_disconnected,mediate_deleted) {
  file,
  network,
  capability,
  umount,

  # Whoever may end them and look at them can, by whatever it is confined itself: the program that holds them may be started
  # anew under another profile, and must still stop those it left. They themselves signal and trace each other alone.
  signal (receive),
  signal (send) peer=@NAME@,
  ptrace (readby),
  ptrace (trace,read,tracedby) peer=@NAME@,

  # File systems are not theirs to change.
  deny mount,

  # Of /proc, their own processes' files alone are written to; of its settings, those of shared memory.
  deny /proc/* w,
  deny /proc/{[^1-9],[^1-9][^0-9],[^1-9s][^0-9y][^0-9s],[^1-9][^0-9][^0-9][^0-9/]*}/** w,
  deny /proc/sys/[^k]** w,
  deny /proc/sys/kernel/{?,??,[^s]**,s[^h]**,sh[^m]**} w,
  deny /proc/sysrq-trigger rwklx,
  deny /proc/kcore rwklx,

  # Of /sys, control groups alone.
  deny /sys/[^f]*/** wklx,
  deny /sys/f[^s]*/** wklx,
  deny /sys/fs/[^c]*/** wklx,
  deny /sys/fs/c[^g]*/** wklx,
  deny /sys/fs/cg[^r]*/** wklx,
  deny /sys/firmware/** rwklx,
  deny /sys/devices/virtual/powercap/** rwklx,
  deny /sys/kernel/security/** rwklx,
}
