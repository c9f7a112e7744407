package main

// filter is what Photon OS comes with: whatever comes in is dropped, but for answers,
// what the machine says to itself, and ssh. What is published passes by Docker's rules.
func (n *network) filter() {
	for _, rule := range [][]string{
		{"INPUT", "-i", "lo", "-j", "ACCEPT"},
		{"INPUT", "-m", "conntrack", "--ctstate", "RELATED,ESTABLISHED", "-j", "ACCEPT"},
		{"INPUT", "-p", "tcp", "--dport", "22", "-j", "ACCEPT"},
	} {
		if code, _ := n.procs.run(append([]string{"iptables", "-w", "-C"}, rule...)...); code != 0 {
			n.procs.run(append([]string{"iptables", "-w", "-A"}, rule...)...)
		}
	}
	for _, chain := range []string{"INPUT", "FORWARD"} {
		if code, out := n.procs.run("iptables", "-w", "-P", chain, "DROP"); code != 0 {
			say("iptables: %s", out)
		}
	}
}
