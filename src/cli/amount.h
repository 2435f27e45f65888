/* Numbers for people. */
#ifndef MU_CLI_AMOUNT_H
#define MU_CLI_AMOUNT_H

/* 11173962 is "11.17 M"; base 1000 or 1024 (prefixes Ki, Mi). Return buf. */
const char *cli_amount(double x, const char *unit, double base, char buf[32]);
/* Seconds: "3.20 us", "512.30 ms", "1.50 h". */
const char *cli_duration(double seconds, char buf[32]);

#endif
