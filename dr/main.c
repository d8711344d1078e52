/*
 * main.c - where drctl and backupd begin.
 */
int main(void)
{
    return 2;
}
