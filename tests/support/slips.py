"""What newcomers type, mostly as other tools want it: a command line each."""

import shlex


def _lines(text: str) -> list[list[str]]:
    return [shlex.split(line) for line in text.strip().splitlines()]


SLIPS = _lines("""
train --config-name foo
train -cn foo
train +epochs=3
train ++epochs=3
train epochs:3
train epochs 3
train epochs= 3
train epoch=3
train metrics={f1:1}
train model.hidden={a:1}
train loader=[64]
train num_epochs=3
train max_epochs=3
train n_epochs=3
train steps=10
train iterations=10
train max_iter=10
train epochs=ten
train epochs=1,000
train epochs=-1
train model=resnet18
train model=MLP
train model=transformer
train model=my_model.Net
train model=torchvision.models.resnet18
train ema=1
train ema=0.9 swa=0.5
train swa=2
train swa=0epochs
train swa_lr=0.1
train unfreeze_at=2epochs
train freeze=layers.0
train freeze=[layer]
train freeze=[layers]
train model.name=mlp
train model.type=mlp
train arch=mlp
train network=mlp
train net=cnn
train optimizer=Adam
train optimizer=AdamW
train optimizer=SGD
train optim=sgd
train opt=sgd
train optimizer=rmsprop
train optimizer=torch.optim.Adam
train optimizer.name=adam
train optimizer.learning_rate=0.1
train optimizer.wd=0.1
train optimizer.momentum=0.9
train dataset.name=iris
train data=iris
train data=houses.csv
train data.path=houses.csv
train dataset=Iris
train dataset=cifar10
train dataset=MNIST2
train dataset=houses.xlsx
train dataset=data.json
train dataset.target=label
train dataset.path=houses.csv
train dataset=table
train dataset=table dataset.path=nowhere.csv
train dataset=table dataset.path=nowhere.csv dataset.target=y
train dataset=table target=y path=a.csv
train dataset=images
train dataset=images dataset.path=nowhere
train dataset=npz
train dataset=own
train model=own
train loss=own
train optimizer=own
train scheduler=own
train target=label
train gpu=0
train gpus=1
train num_gpus=2
train cuda=true
train use_gpu=true
train device=gpu
train device=cuda
train device=cuda:0
train device=0
train device=CPU
train devices=1
train accelerator=cpu
train lr=0.1
train lr=abc
train learning_rate=0.1
train learning-rate=0.1
train LR=0.1
train optimizer.lr=0,1
train optimizer.lr=1/100
train optimizer.lr=10^-3
train optimizer.lr=10**-3
train optimizer.lr=high
train optimizer.lr=$LR
train batch=32
train bs=32
train batchsize=32
train batch_size=0
train dataset.batch_size=32
train dataloader.batch_size=32
train data_loader.num_workers=2
train loader.batch_size=1.5
train workers=0
train num_workers=0
train shuffle=false
train weight_decay=0.1
train wd=0.1
train l2=0.1
train momentum=0.9
train dropout=0.5
train hidden=[64]
train hidden_size=64
train layers=3
train model.layers=3
train model.num_layers=3
train model.hidden_size=64
train model.hidden_sizes=[64]
train model.hidden=64
train model.hidden=64,64
train model.hidden=(64,64)
train 'model.hidden=64 64'
train 'model.hidden=[64, 64]'
train model.activation=ReLU
train model.activation=swish
train model.dropout=2
train activation=relu
train precision=bf16
train amp=true
train fp16=true
train bf16=true
train mixed_precision=bf16
train autocast=fp32
train dtype=float16
train dtype=fp32
train loss=crossentropy
train loss=CrossEntropyLoss
train loss=MSE
train loss=l1
train loss=mae
train criterion=mse
train loss_fn=mse
train scheduler=CosineAnnealingLR
train scheduler=StepLR
train scheduler=cos
train lr_scheduler=cosine
train sched=cosine
train scheduler.gamma=0.1
train warmup=3
train output=x
train out=x
train out_dir=x
train save_dir=x
train log_dir=x
train logdir=x
train name=first
train run_name=first
train random_seed=1
train random_state=1
train seed=abc
train early_stopping=true
train patience=3
train resume=true
train checkpoint=a.pt
train ckpt=a.pt
train pretrained=true
train checkpoint=true
train val_split=0.2
train val_size=0.2
train test_size=0.2
train validation_split=0.2
train dataset.val_size=0.2
train compile=yes
train compile=inductor
train compile=True
train deterministic=1
train verbose=1
train debug=true
train wandb=yes
train tensorboard=1
train logger=wandb
train log_interval=10
train eval_interval=10
train save_every=10
train clip=1
train grad_clip=1
train gradient_clip_val=1
train grad_accum=2
train accumulation_steps=2
train gradient_accumulation_steps=2
train metric=acc
train monitor=val_loss
train monitor=accuracy
train mode=max
train guards=off
train threads=0
train nproc=0
train sweep=true
train sweep.jobs=many
train seed=0,1
train seed=range(3)
train -m
train -m epochs=1
train -m optimizer.lr=
train -m optimizer.lr=[0.1,0.2]
train -m optimizer.lr=0.1..0.2
train -m 'optimizer.lr=0.1, 0.2'
train -m 'optimizer.lr=interval(0.1,0.2)'
train -m model=mlp,foo
train -m modle=mlp,cnn
train -m seed=0,x
train hydra/sweeper=optuna
train -m hydra/sweeper=optuna
train -m hydra/sweeper=ax seed=0,1
train hydra/launcher=slurm
train --multi-run seed=0,1
train -e 3
train -lr 0.1
train -b 32
train -j4
train -v
train --verbose
train --epochs
train --epochs=3
train --model mlp
train --data iris
train --gpu
train --gpus 1
train --resume
train --config x.yaml
train --batch_size 32
train --learning-rate 0.1
train --seed 1
train --hepl
train help me
train latest
train config.yaml
train conf/x.yaml
train my.yaml
train model.py
train net.pt
train mlp
train iris
train experiment=mnist_
train experiment=spiral
train experiment
train epochs==3
train =3
train epochs=
train epochs=null
train epochs={}
train epochs=[3]
train model={}
train model=
train dataset=''
train optimizer=adam,sgd
train optimizer=[adam,sgd]
train ~optimizer.lr
train ~foo
train ~scheduler
train hydra.verbose=true
train hydra.foo=1
train -c
train -c foo
train --info foo
train -cd
train --config-dir nowhere
run
fit
test
sweep
start
evaluate
val
validate
infer
inference
tune
search
list
show
info
version
-v
-version
--trian
continue
restart
stop
delete latest
rm latest
clean
benchmark
profile
lr_find
lrfind
find-lr
plot
results
history
logs
new
create
setup
train.py
Train
TRAIN epochs=3
epochs=3
--epochs 3
latest
houses.csv
a b c
run epochs=3
fit model=cnn
test latest
ls models
ls optimisers
ls nothing
ls model dataset
ls model=mlp
resume
resume latest
resume nothing
resume epochs=40
resume latest epochs=40
predict
predict latest
predict new.csv
predict latest new.csv
eval
eval new.csv
eval best.pt
eval latest split=test
report
report latest
export
export onnx
export latest onnx
export format=onnx
compare
compare a b
compare latest
verify latest
verify epochs=foo
runs x
runs latest
chapter foo
chapter 1
chapter fit-line
chapter epochs=3
config epochs
config model=foo
config lr=0.1
plan model=foo
plan iris
doctor iris
doctor latest
doctor --overfitt
bench latest
bench --seconds 0
bench --seconds many
bench what=compile
profile latest
profile --steps 0
lr-find iris
lr-find lr=0.1
init
completion
completion fish
completion --shell bash
help foo
help trian
help train epochs=3
""")

WITH_A_RUN = _lines("""
resume
resume latest
resume latest optimizer.lr=0.1
resume latest epochs=1
resume latest epochs
resume latest data=new
resume latest foo=1
resume epochs=1 lr=0.1
eval latest split=nothing
eval latest split=training
eval latest split=train
eval latest foo=1
eval latest dataset.path=nowhere.csv
eval latest epochs=3
eval late
eval latest latest
eval latest --split val
predict latest
predict
predict latest nowhere.csv
predict latest nowhere.npz
predict latest nowhere
predict new.csv
predict latest new.csv
predict latest rows.npz -o out.xlsx
predict latest rows.npz -o out
predict latest rows.npz -o folder
predict latest rows.npz -o nowhere/out.csv
predict latest rows.npz -o rows.npz
predict latest rows.npz --output out.csv
predict latest rows.npz
predict latest rows.npz dataset.path=x
predict latest rows.npz batch_size=3
predict rows.npz latest
predict latest other.npz
predict latest text.npz
predict latest text.csv
export latest format=onx
export latest format=pt
export latest format=torchscript
export latest onnx
export latest speed=1
export latest --format onnx
export latest out.onnx
report lates
report latest epochs=3
report latest --browser
compare --sort foo
compare --sort accuracy
compare nowhere
compare latest foo=1
compare --by foo
runs nowhere
runs latest
runs --sort acc
verify latest epochs=3
verify latest latest
verify max_steps=1
plan latest
doctor latest
bench latest
train latest
config latest
""")

WITH_A_SWEEP = _lines("""
resume latest epochs=3
resume latest optimizer.lr=1
resume latest hydra.sweeper.n_trials=40
resume latest sweep.jobs=0
eval latest
export latest
predict latest rows.npz
report latest
compare latest --sort foo
verify latest
resume 9
eval 0
""")
