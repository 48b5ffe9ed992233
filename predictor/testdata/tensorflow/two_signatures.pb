
-"serve*2.21.02v2.21.0-rc1-5-ga481b10260d8}
t
serving_default_xPlaceholder*
shape:ÿÿÿÿÿÿÿÿÿ*'
_output_shapes
:ÿÿÿÿÿÿÿÿÿ*
dtype0"ªJ
saver_filename:0StatefulPartitionedCall:0StatefulPartitionedCall_18*
serving_default|
/
x*
serving_default_x:0ÿÿÿÿÿÿÿÿÿ-
y(
PartitionedCall:0ÿÿÿÿÿÿÿÿÿtensorflow/serving/predict*²
upper¨
'
text
upper_text:0ÿÿÿÿÿÿÿÿÿ0
length&
PartitionedCall_1:0ÿÿÿÿÿÿÿÿÿ/
upper&
PartitionedCall_1:1ÿÿÿÿÿÿÿÿÿtensorflow/serving/predict*>
__saved_model_init_op%#
__saved_model_init_op

NoOp