/* mpi_probe MODE [RANK] [VALUE]: a small MPI program for the launch tests.
   sum         Allreduce over all ranks, checked; prints what the rank sees of itself
   exit R C    rank R exits with code C while the others wait in a barrier
   kill R S    rank R dies by signal S likewise
   spin        barriers for ever, with a child that has left the session; deaf to TERM */
#include <mpi.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char* variable(const char* name) {
    const char* value = getenv(name);
    return value ? value : "";
}

static int sum(int rank, int size) {
    double mine = rank + 1;
    double all = 0;
    char folder[4096] = "";
    int length = 1 << 16;
    double* many = malloc(sizeof(double) * (size_t)length);
    double* total = malloc(sizeof(double) * (size_t)length);
    MPI_Allreduce(&mine, &all, 1, MPI_DOUBLE, MPI_SUM, MPI_COMM_WORLD);
    for (int i = 0; i < length; ++i) {
        many[i] = rank + i;
    }
    MPI_Allreduce(many, total, length, MPI_DOUBLE, MPI_SUM, MPI_COMM_WORLD);
    int right = all == size * (size + 1) / 2.0;
    for (int i = 0; i < length; ++i) {
        right = right && total[i] == size * (size - 1) / 2.0 + (double)size * i;
    }
    printf("rank %d of %d sum %g %s cwd %s probe %s local %s secret [%s]\n", rank, size, all, right ? "right" : "WRONG",
           getcwd(folder, sizeof folder) ? folder : "?", variable("PROBE"), variable("OMPI_COMM_WORLD_LOCAL_RANK"),
           variable("LINARITE_LAUNCH_TOKEN"));
    return right ? 0 : 9;
}

static void spin(void) {
    signal(SIGTERM, SIG_IGN);
    if (fork() == 0) {
        setsid();
        if (fork() == 0) {
            for (;;) {
                pause();
            }
        }
        _exit(0);
    }
    printf("spinning\n");
    fflush(stdout);
    for (;;) {
        MPI_Barrier(MPI_COMM_WORLD);
        usleep(10000);
    }
}

int main(int count, char** words) {
    int rank = 0;
    int size = 0;
    MPI_Init(&count, &words);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &size);
    int code = 0;
    if (strcmp(words[1], "sum") == 0) {
        code = sum(rank, size);
    } else if (strcmp(words[1], "spin") == 0) {
        spin();
    } else {
        MPI_Barrier(MPI_COMM_WORLD);
        if (rank == atoi(words[2])) {
            printf("rank %d is about to go\n", rank);
            fflush(stdout);
            if (strcmp(words[1], "kill") == 0) {
                raise(atoi(words[3]));
            }
            _exit(atoi(words[3]));
        }
        MPI_Barrier(MPI_COMM_WORLD);
    }
    MPI_Finalize();
    return code;
}
